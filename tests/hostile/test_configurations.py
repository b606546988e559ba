"""Configurations whose numbers are too large or no numbers: a sentence, before anything is allocated for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from model.catalog.config_bounds import check_config
from model.errors import ModelError
from tests.hostile.folders import refusal, write_config

PLAIN = {"model_type": "gpt2", "vocab_size": 100, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
OWN = {"vocab_size": 100, "d_model": 16, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "d_ff": 32}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder inside the test's own."""
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


@pytest.mark.parametrize(
    "sizes",
    [
        {"vocab_size": 10**8},
        {"n_layer": 10**9},
        {"n_embd": 10**7},
        {"n_head": 10**6},
        {"n_positions": 10**9},
        {"n_inner": 10**12},
        {"n_embd": 10**5, "n_layer": 10**4},
        {"vocab_size": float("nan")},
        {"vocab_size": float("inf")},
        {"vocab_size": "100"},
        {"vocab_size": True},
        {"vocab_size": {}},
        {"vocab_size": -1},
        {"n_layer": -(10**90)},
        {"n_layer": 10**90},
        {"n_layer": [2, "x"]},
        {"n_layer": [2, -1]},
        {"n_layer": [[2]]},
        {"n_layer": {"vision": "x"}},
        {"num_experts": 10**9},
        {"vocab_size": "1e9"},
        {"vocab_size": [100] * 3 + [10**9]},
        {"n_layer": 1e9},
    ],
)
@pytest.mark.parametrize("inside", ["", "text_config", "vision_config", "encoder", "decoder"])
def test_sizes_of_a_library_model_are_bounded(folder: Path, sizes: dict[str, Any], inside: str) -> None:
    config = PLAIN | sizes
    write_config(folder, **({"model_type": "some", inside: config} if inside else config))
    assert "config.json" in str(refusal(folder))


@pytest.mark.parametrize(
    "sizes",
    [
        {"max_tokens": 10**9},
        {"max_tokens": 10**6, "d_model": 10**5},
        {"d_model": 10**8},
        {"vocab_size": 10**8},
        {"encoder_layers": 10**9},
        {"d_ff": 10**10},
        {"num_heads": 0},
        {"d_model": 0},
        {"d_model": -2},
        {"d_model": 16.0},
        {"d_model": "16"},
        {"max_tokens": None},
        {"vocab_size": float("nan")},
        {"dropout": "much"},
        {"dropout": float("nan")},
        {"eos": 100},
        {"pad": -1},
        {"unk": "x"},
    ],
)
def test_sizes_of_the_own_format_are_bounded(folder: Path, sizes: dict[str, Any]) -> None:
    write_config(folder, **(OWN | sizes))
    assert "config.json" in str(refusal(folder))


def nested(levels: int) -> str:
    return '{"model_type": "gpt2", "text_config": ' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text",
    [
        nested(40),
        nested(5000),
        "[" * 5000 + "]" * 5000,
        '{"model_type": "gpt2", "x": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"model_type": "gpt2", "n_layer": ' + "9" * 5000 + "}",
        '{"model_type": "gpt2", "x": ' + "9" * 5000 + "}",
        '{"model_type": "gpt2", "n_layer": 1e5000}',
        "[]",
        "7",
        "null",
        "",
        "{",
        '"text"',
        '\ufeff{"model_type": "gpt2"}',
        '{"model_type": "gpt2", "text_config": {"vision_config": {"vocab_size": 1000000000}}}',
    ],
)
def test_text_that_is_no_configuration_is_said(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "config.json" in str(refusal(folder))


def test_bytes_that_are_no_text_are_said(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00{")
    assert "config.json is damaged" in str(refusal(folder))


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32}, "memory"),
        ({"vocab_size": 100, "d_model": 1024, "max_tokens": 100_000}, "positions whose table"),
    ],
)
def test_what_is_larger_than_the_free_memory_is_said_with_both_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], what: str
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 2 * 10**9})())
    write_config(folder, **config)
    with pytest.raises(ModelError, match=r"and 2\.0 GB are free") as caught:
        check_config(folder)
    assert what in str(caught.value)
    assert caught.value.reason == "memory"


HONEST = [  # sizes as published, and free gigabytes with which they pass
    ('{"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_inner": null}', 0.5),
    (
        '{"model_type": "albert", "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, '
        '"intermediate_size": 16384, "num_hidden_layers": 12, "num_hidden_groups": 1}',
        0.9,
    ),
    (
        '{"model_type": "llama4", "text_config": {"vocab_size": 202048, "hidden_size": 5120, "num_hidden_layers": 2, '
        '"max_position_embeddings": 10485760, "rope_theta": 5e5, "intermediate_size": 8192}}',
        8,
    ),
    ('{"model_type": "segformer", "num_attention_heads": [1, 2, 5, 8], "hidden_sizes": [32, 64]}', 0.1),
    ('{"model_type": "lxmert", "hidden_size": 64, "num_hidden_layers": {"vision": 5, "language": 9}}', 0.1),
    ('{"model_type": "gemma3n", "text_config": {"hidden_size": 64, "intermediate_size": [128, 256]}}', 0.1),
    ('{"model_type": "mamba2", "time_step_limit": [0.0, Infinity], "max_position_embeddings": null}', 0.1),
    (Path("assets/en-fr/config.json").read_text(), 0.1),
]


@pytest.mark.parametrize(("config", "gigabytes"), HONEST)
def test_honest_configurations_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch, config: str, gigabytes: float
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": gigabytes * 1e9})())
    (folder / "config.json").write_text(config)
    check_config(folder)
