"""GGUF files: the same weights, maps and answers as in safetensors; a plain sentence for what is not read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import model
from model.catalog.revisions import revision
from model.errors import ModelError
from model.memory.fit import needed_memory
from tests.model.catalog.gguf_files import small_llama, write_llama

TEXT = "the cat sat on the mat"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that downloads, and what is made of GGUF files, go to."""
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path, home: Path) -> Path:
    """A small random Llama as a GGUF file in a folder of its own."""
    file = tmp_path / "llama" / "small.gguf"
    file.parent.mkdir()
    write_llama(file, small_llama())
    return file


def test_a_gguf_file_shows_what_the_same_model_in_safetensors_does(file: Path, tmp_path: Path, home: Path) -> None:
    module = small_llama()
    opened = model.load(str(file), device="cpu")
    for name, weights in module.state_dict().items():
        np.testing.assert_array_equal(opened.module.state_dict()[name].numpy(), weights.numpy(), err_msg=name)
    plain = tmp_path / "plain"
    module.save_pretrained(plain)
    opened.tokenizer.save_pretrained(plain)
    mine, other = opened.trace(TEXT), model.load(str(plain), device="cpu").trace(TEXT)
    assert mine.ids == other.ids
    assert len(mine.ids["decoder"]) > 5
    for layer in range(2):
        here, there = (one.attentions["decoder"].weights(layer) for one in (mine, other))
        assert np.abs(here - there).max() < 1e-6
    assert mine.logits is not None
    assert other.logits is not None
    assert np.abs(mine.logits - other.logits).max() < 1e-5
    assert mine.verify().ok


def test_a_folder_with_a_gguf_file_is_opened_and_made_once(file: Path, home: Path) -> None:
    model.load(str(file), device="cpu")
    (made,) = (home / "gguf").iterdir()
    before = (made / "model.safetensors").stat().st_mtime_ns
    model.load(str(file.parent), device="cpu")
    assert [(one / "model.safetensors").stat().st_mtime_ns for one in (home / "gguf").iterdir()] == [before]


def test_memory_and_version_are_known_before_it_is_opened(file: Path) -> None:
    parameters = sum(one.numel() for one in small_llama().state_dict().values())
    assert needed_memory(file) == needed_memory(file.parent) == 4 * parameters
    assert revision(str(file)) == revision(str(file.parent))
    assert revision(str(file)).startswith("sha256-")


def test_a_missing_library_and_a_part_of_a_model_are_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = file.rename(file.parent / "small-00001-of-00003.gguf")
    with pytest.raises(ModelError, match="one of several parts"):
        model.load(str(part), device="cpu")
    file = part.rename(file)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else found(name))
    with pytest.raises(ModelError, match="pip install gguf"):
        model.load(str(file), device="cpu")
