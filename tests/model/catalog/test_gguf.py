"""GGUF files: the same weights, maps and answers as in safetensors; a plain sentence for what is not read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

import model
from model.catalog.revisions import revision
from model.errors import ModelError
from model.memory.fit import needed_memory
from tests.model.catalog.gguf_files import small_llama, small_qwen2, write_model

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
    write_model(file, small_llama())
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


@pytest.mark.parametrize("name", ["BF16", "Q8_0", "Q5_1", "Q4_0"])
def test_another_architecture_in_every_number_format(name: str, tmp_path: Path, home: Path) -> None:
    file, quantised = tmp_path / "small.gguf", gguf.GGMLQuantizationType[name]
    module = small_qwen2()
    write_model(file, module, quantised=quantised)
    opened = model.load(str(file), device="cpu")
    for path, weights in module.state_dict().items():
        expected = weights.numpy()
        if weights.dim() == 2:
            expected = gguf.quants.dequantize(gguf.quants.quantize(expected, quantised), quantised)
        np.testing.assert_allclose(opened.module.state_dict()[path].numpy(), expected, atol=1e-6, err_msg=path)
    trace = opened.trace("the cat")
    assert [one for one in trace.tokens["decoder"].texts if "cat" in one]
    assert trace.verify().ok


def test_a_file_with_other_numbers_than_its_model_has_is_refused(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "less.gguf"
    write_model(file, small_qwen2(), without="blk.1.ffn_up.weight")
    with pytest.raises(ModelError, match="its file lacks 2,048 of the"):  # the library makes them up
        model.load(str(file), device="cpu")
    write_model(file := tmp_path / "more.gguf", small_qwen2(), more={"blk.0.attn_sinks.weight": np.ones(4, np.float32)})
    with pytest.raises(ModelError, match="numbers in its file would not be used"):
        model.load(str(file), device="cpu")


def test_factors_of_positions_beside_the_weights_are_read(tmp_path: Path, home: Path) -> None:
    scaled = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0}
    scaled |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    module = small_llama(**scaled)
    rotary = module.model.rotary_emb
    plain = small_llama(rope_theta=500_000.0).model.rotary_emb.inv_freq
    factors = (plain / rotary.inv_freq).numpy()
    assert factors.max() == pytest.approx(32)
    write_model(file := tmp_path / "scaled.gguf", module, more={"rope_freqs.weight": factors})
    opened = model.load(str(file), device="cpu")
    np.testing.assert_allclose(opened.module.model.rotary_emb.inv_freq, rotary.inv_freq, rtol=1e-5)
    trace = opened.trace(TEXT)
    with torch.inference_mode():
        expected = module(torch.tensor([trace.ids["decoder"]])).logits[0]
    assert trace.logits is not None
    np.testing.assert_allclose(trace.logits, expected, atol=1e-5)
    write_model(file := tmp_path / "odd.gguf", module, more={"rope_freqs.weight": np.array([1, 1, 4, 8], np.float32)})
    with pytest.raises(ModelError, match="scales the frequencies of positions in a way that is not read here"):
        model.load(str(file), device="cpu")
