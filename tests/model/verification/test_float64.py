"""Runs in float64: equal to those of a copy in float64, without the memory of one."""

from __future__ import annotations

import copy
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import model
from model.attention.recorded_call import RecordedCall
from model.huggingface.answers import answer
from model.huggingface.recording import eager_run
from model.verification import float64, float64_mode, tolerances
from model.verification.float64_mode import any_format, float64_everywhere
from model.verification.references import huggingface_reference
from model.verification.rounding_noise import rounding_noise
from tests.model.huggingface.small_models import SPECIAL, TEXT, save, tokenizer
from tests.model.huggingface.test_families import build


class LiveFloat64(TorchDispatchMode):
    """Counts the bytes of the tensors in float64 that live at once. most: at any time"""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and one.dtype == torch.float64:
                self._count(one.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._seen or not size:
            return
        self._seen.add(address)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._seen.discard(address)
        self.now -= size


@pytest.mark.parametrize("family", ["llama", "t5", "bert", "mixtral"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("ours", [False, True])
def test_converted_weights_compute_what_a_copy_computes(
    family: str, dtype: str, ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, tmp_path)
    lens: Any = model.load(str(tmp_path), "cpu", dtype=dtype)
    monkeypatch.setattr(
        float64_mode, "ROWS", 8
    )  # so that the last matrix is converted by rows, as that of a vocabulary
    before = [one.clone() for one in lens.module.parameters()]

    def run() -> list[Tensor]:
        found: list[Tensor] = []

        def on_layer(_: str, __: int, weights: Tensor, vectors: Any, ___: Any) -> None:
            found.extend([weights.clone(), *(one.clone() for one in vectors)])

        with float64_everywhere():
            result = eager_run.run_in_float64(lens, lens.dummy_inputs(), None, ours, on_layer)
            return [*found, answer(result)]

    converted = run()
    assert all(one.dtype == torch.float64 for one in converted)
    assert all(torch.equal(one, other) for one, other in zip(before, lens.module.parameters(), strict=True))
    wide = copy.deepcopy(lens.module).double()
    if family == "mixtral":  # the library's plain loop over experts, since PyTorch has no other in float64
        wide.set_experts_implementation("eager")
    monkeypatch.setattr(eager_run, "shallow_copy", lambda module: wide)
    for one, other in zip(converted, run(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_check_in_float64_holds_no_copy_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    pieces = tokenizer()
    sizes = {"hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 256}
    torch.manual_seed(3)
    save(LlamaForCausalLM(LlamaConfig(vocab_size=len(pieces), **SPECIAL | sizes)), tmp_path, pieces)
    lens: Any = model.load(str(tmp_path), "cpu")
    found = lens.trace(TEXT)
    monkeypatch.setattr(tolerances.Limits, "weight", lambda self, layer: 1e-9)
    sets: list[int] = []
    hold = float64.Numbers._hold

    def count(self: float64.Numbers, place: float64.Place, numbers: Tensor) -> Tensor:
        held = hold(self, place, numbers)
        with any_format():  # else a tensor says that it is in float64
            assert all(one.dtype == torch.float32 for one in self.found.values())
            sets.append(sum(one.nbytes for one in self.found.values()))
        return held

    monkeypatch.setattr(float64.Numbers, "_hold", count)
    with LiveFloat64() as live:
        check = found.verify()
    assert check.ok
    assert check.rounding is not None
    in_float64 = 8 * sum(one.numel() for one in lens.module.parameters())
    assert 0 < live.most < in_float64 / 4
    # One set of numbers in float32, whichever run they are of.
    assert max(sets) <= 1.1 * sets[len(sets) // 2 - 1]


@pytest.mark.parametrize("family", ["mixtral", "gpt-oss"])
def test_rounding_is_told_from_a_fault_in_a_mixture_of_experts(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, tmp_path)
    found: Any = model.load(str(tmp_path), "cpu").trace(TEXT)
    monkeypatch.setattr(tolerances.Limits, "weight", lambda self, layer: 1e-9)
    check = found.verify()
    assert check.ok, check.wrong_parts
    assert check.rounding is not None


def test_of_words_that_rounding_makes_equally_likely_either_may_be_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("llama", tmp_path)
    lens: Any = model.load(str(tmp_path), "cpu")
    found = lens.trace(TEXT)
    (highest, second), ids = torch.tensor(found.logits[1]).topk(2)
    words = [*found.predicted]
    words[1] = lens.tokenizer.convert_ids_to_tokens(int(ids[1]))
    swapped = replace(found, predicted=words)
    monkeypatch.setattr(tolerances.Limits, "weight", lambda self, layer: 1e-9)  # as if float32 rounded away much
    assert {part.name for part in swapped.verify().wrong_parts} >= {"weights", "words"}
    monkeypatch.setattr(
        float64.Numbers, "errors", lambda self, run: {"logits": float(highest - second), "weights": 1e-4}
    )
    settled = replace(swapped).verify()
    assert settled.ok, settled.wrong_parts
    assert settled.rounding is not None


def test_a_last_digit_goes_up_or_down_by_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(64, 64), torch.randn(8, 64)
    plain = layer(x)
    with rounding_noise(5):
        noisy, again, sums = layer(x), layer(x), x + x
    share = (noisy / plain - 1).double() / torch.finfo(torch.float32).eps
    assert 0.2 < (share > 0.4).float().mean() < 0.8
    assert share.abs().max() <= 2
    assert not torch.equal(noisy, again)
    assert torch.equal(sums, x + x)
    with rounding_noise(5):
        assert torch.equal(layer(x), noisy)
    assert torch.equal(layer(x), plain)


def test_a_run_that_rounds_otherwise_tells_a_last_digit_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("mixtral", tmp_path)
    found: Any = model.load(str(tmp_path), "cpu").trace(TEXT)
    monkeypatch.setattr(tolerances.Limits, "weight", lambda self, layer: 1e-9)
    errors, calls = float64.Numbers.errors, []

    def exact_at_first(self: float64.Numbers, run: float64.Run) -> dict[str, float]:
        calls.append(errors(self, run))
        return {name: 0.0 if len(calls) == 1 else error for name, error in calls[-1].items()}

    monkeypatch.setattr(float64.Numbers, "errors", exact_at_first)
    settled = found.verify()
    assert settled.ok, settled.wrong_parts
    assert len(calls) >= 2
    assert calls[1] != calls[0]
    calls.clear()
    weights = RecordedCall.weights
    monkeypatch.setattr(RecordedCall, "weights", lambda self: weights(self) * np.float32(1.001))
    assert not replace(found).verify().ok
    assert len(calls) == 2 * (1 + huggingface_reference.NOISY_RUNS)  # what it wrote, at once and then step by step
