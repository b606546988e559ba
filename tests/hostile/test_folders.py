"""Folders that lead out of themselves or hold what is no file: each is refused with a sentence, unopened."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import model
from model.catalog.folder_check import check_folder
from model.catalog.revisions import revision
from model.catalog.store import input_kind
from model.errors import ModelError
from model.memory.fit import needed_memory
from model.memory.weight_headers import MAX_HEADER_BYTES
from tests.hostile.folders import check_refusal, refusal, write_config, write_weights

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a model with a plausible configuration and without weights."""
    inside = tmp_path / "inside"
    inside.mkdir()
    return write_config(inside, model_type="bert", vocab_size=100, hidden_size=16, num_hidden_layers=1)


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("name", ["../there.safetensors", "a/b.safetensors", "..", "", ".", "C:\\x.bin", "x\0.bin", 7])
def test_an_index_names_nothing_outside_of_its_folder(folder: Path, index: str, name: object) -> None:
    (folder / index).write_text(json.dumps({"weight_map": {"a": name}}))
    assert "outside of its folder" in str(refusal(folder))


@pytest.mark.parametrize("index", INDEXES)
def test_the_sentence_does_not_tell_whether_a_file_outside_exists(folder: Path, index: str) -> None:
    there, absent = folder.parent / "there.safetensors", folder.parent / "absent.safetensors"
    write_weights(there)
    said = set()
    for name in (str(there), str(absent), "../there.safetensors", "../absent.safetensors"):
        (folder / index).write_text(json.dumps({"weight_map": {"a": name}}))
        said.add(str(refusal(folder)))
    (folder / index).unlink()
    for target in (there, absent):
        (folder / "model.safetensors").symlink_to(target)
        said.add(str(refusal(folder)))
        (folder / "model.safetensors").unlink()
    assert len(said) == 2  # one of the index, one of the link


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', "no json", "[" * 100_000, '{"weight_map": {}'])
def test_a_damaged_index_is_said(folder: Path, content: str) -> None:
    (folder / INDEXES[0]).write_text(content)
    if content == "{}":
        assert "no weight_map" in str(refusal(folder))
    assert INDEXES[0] in str(refusal(folder))


def test_the_configuration_names_no_weights_outside(folder: Path) -> None:
    write_config(folder, model_type="bert", transformers_weights="../there.safetensors")
    assert "config.json names a file outside" in str(refusal(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("kind", ["pipe", "zero", "random", "socket", "folder", "circle", "broken"])
def test_what_is_no_file_is_refused_and_never_opened(folder: Path, name: str, kind: str) -> None:
    file = folder / name
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(folder):  # the path of one may not be long
            made.bind(name)
    else:
        file.symlink_to(
            {"zero": "/dev/zero", "random": "/dev/urandom", "circle": file, "broken": folder / "gone"}[kind]
        )
    assert name in str(refusal(folder))
    check_refusal(folder)
    revision(str(folder))
    input_kind(folder)


@pytest.mark.parametrize(
    ("claimed", "size"), [(2**63, 16), (1000, 16), (MAX_HEADER_BYTES + 1, MAX_HEADER_BYTES + 100), (0, 4), (8, 8)]
)
def test_a_header_that_cannot_be_true_is_not_read(folder: Path, claimed: int, size: int) -> None:
    file = folder / "model.safetensors"
    write_weights(file, b"", claimed)
    os.truncate(file, size)  # a sparse file takes no room on the disk
    assert "model.safetensors" in str(refusal(folder))
    check_refusal(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"a": 7}',
        b'{"a": {"shape": 7}}',
        b'{"a": {"shape": ["x"]}}',
        b'{"a": {"shape": [-1]}}',
        b'{"a": {"shape": [1e400]}}',
        b'{"a": {"shape": [' + b"9" * 5000 + b"]}}",
        b'{"a": {"shape": [' + b"9," * 5000 + b"9]}}",
    ],
)
def test_a_damaged_header_is_a_sentence(folder: Path, header: bytes) -> None:
    write_weights(folder / "model.safetensors", header)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        needed_memory(folder)
    refusal(folder)


def test_the_hub_caches_own_links_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    write_weights(blobs / "f", b"{}")
    (snapshot / "model-1.safetensors").symlink_to("../../blobs/f")
    (snapshot / INDEXES[0]).write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    check_folder(snapshot)
    (snapshot / "vocab.txt").symlink_to("../../../outside.txt")
    with pytest.raises(ModelError, match=r"vocab\.txt is a link that leads out"):
        check_folder(snapshot)


@pytest.mark.parametrize("text", ["[" * 5000, "[]", "{", '{"base_model_name_or_path": "' + "x" * 10 + '"}'])
def test_an_adapter_that_cannot_be_read_is_a_sentence(tmp_path: Path, text: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "adapter_config.json").write_text(text)
    refusal(inside)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_said(folder: Path, value: float) -> None:
    bundled = Path("assets/en-fr")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((bundled / name).read_bytes())
    weights = load_file(bundled / "model.safetensors")
    name = next(iter(weights))
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors")
    said = str(refusal(folder))
    assert "NaN" in said
    assert name in said


def test_weights_of_a_library_model_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    from tests.model.huggingface import test_families

    inside = tmp_path / "inside"
    inside.mkdir()
    test_families.build("gpt2", inside)
    model.load(str(inside), "cpu")
    weights = load_file(inside / "model.safetensors")
    next(iter(weights.values())).view(-1)[-1] = torch.nan
    save_file(weights, inside / "model.safetensors", {"format": "pt"})
    assert "NaN" in str(refusal(inside))


def test_a_hostile_folder_makes_no_other_model_leave(folder: Path) -> None:
    from viz.frame import server_state

    server_state.drop_all()
    registry = server_state.model_registry()
    opened = registry.get("en-fr", "cpu")
    write_weights(folder / "model.safetensors", b"", 2**40)
    with pytest.raises(ModelError, match="larger than the file"):
        registry.get(str(folder), "cpu")
    assert registry.open_keys() == [("en-fr", "cpu")]
    assert registry.get("en-fr", "cpu") is opened
