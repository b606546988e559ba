"""Scores of words of a long text are made anew from the last states, where the output head alone makes them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

import model
from model.huggingface.recording import word_scores
from model.memory.model_registry import detach_from_model
from tests.model.huggingface import test_families
from tests.model.huggingface.small_models import TEXT

ALONE = {"gpt2": True, "llama": True, "bart": True, "gemma2": False, "bert": False}


@pytest.mark.parametrize(("family", "by_head"), ALONE.items())
def test_long_texts_keep_states_where_the_head_alone_makes_scores(
    family: str, by_head: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_families.build(family, tmp_path)
    opened = model.load(str(tmp_path), "cpu")
    whole = opened.trace(TEXT)
    monkeypatch.setattr(word_scores, "MAX_KEPT", 0)
    kept = opened.trace(TEXT)
    assert kept.logits is not None
    assert whole.logits is not None
    assert kept.logits.shape == whole.logits.shape
    assert (kept.nbytes < whole.nbytes) == by_head
    if by_head:
        assert whole.nbytes - kept.nbytes == whole.logits.nbytes
    size = float(np.abs(whole.logits).max())
    for rows in (slice(None), slice(1, 3), -1):
        np.testing.assert_allclose(kept.logits[rows], whole.logits[rows], atol=1e-5 * size)
    assert kept.predicted == whole.predicted
    assert kept.output == whole.output
    assert kept.verify().ok
    if whole.predicted is not None and family != "bart":
        both = [trace.credit(2, 7) for trace in (kept, whole)]
        assert both[0].logit == pytest.approx(both[1].logit, abs=1e-5 * size)


def test_scores_made_anew_keep_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_scores, "MAX_KEPT", 0)
    test_families.build("llama", tmp_path)
    opened = model.load(str(tmp_path), "cpu")
    left = weakref.ref(opened.module)  # type: ignore[attr-defined]
    trace = opened.trace(TEXT)
    expected = np.asarray(trace.logits)
    trace = detach_from_model(trace, lambda: model.load(str(tmp_path), "cpu"))
    del opened
    gc.collect()
    assert left() is None
    assert trace.logits is not None
    np.testing.assert_array_equal(trace.logits, expected)
