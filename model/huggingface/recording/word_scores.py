"""Scores of words of one text: kept as they are, or, of a long text, made anew from the states that the head reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from model.arrays.lazy import LazyRows
from model.arrays.torch_to_numpy import rows_to_numpy, to_numpy
from model.arrays.types import Array
from model.huggingface.opened_model import OpenedModel

MAX_KEPT = 30_000_000  # scores of one text that are kept, 120 MB: 600 tokens of 50,000 words
ROUNDING = 64  # units in the last place of the largest score by which two orders of summation may differ


@dataclass(frozen=True, eq=False)
class WordScores:
    """The scores of words of one text, without its model.

    Attributes:
        kept: the scores, or the states that the output head makes them of. [token, vocab] or [token, d_model]
        vocab: how many words have a score; by_head: whether states are kept.
    """

    kept: Tensor
    vocab: int
    by_head: bool

    def rows(self, lens: OpenedModel, start: int, stop: int) -> Tensor:
        """The scores of some tokens. lens: the model. [token, vocab]"""
        part = self.kept[start:stop]
        if not self.by_head:
            return part
        with torch.inference_mode():
            scores: Tensor = lens.module.get_output_embeddings()(part)
            return scores

    def array(self, lens: OpenedModel) -> Array:
        """The same as an array, whose rows are made on access where states are kept. [token, vocab]"""
        if not self.by_head:
            return rows_to_numpy(self.kept)
        rows: Any = LazyRows(partial(_numpy_rows, lens, self), (len(self.kept), self.vocab), keep=False)
        return rows


def word_scores(lens: OpenedModel, scores: Tensor, find_states: Callable[[], Tensor]) -> WordScores:
    """What is kept of a text's scores: of many the states, where the output head alone makes the scores of them.

    Whether it does is tried on three tokens: some models cap or scale what their head answers.

    Args:
        scores: of the pass, [token, vocab]; find_states: the last states, asked for long texts only. [token, d_model]
    """
    whole = WordScores(scores, scores.shape[-1], by_head=False)
    if scores.numel() <= MAX_KEPT or len(states := find_states()) != len(scores):
        return whole
    tried = WordScores(states, scores.shape[-1], by_head=True)
    for place in {0, len(scores) // 2, len(scores) - 1}:
        found, expected = tried.rows(lens, place, place + 1), scores[place : place + 1]
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return whole
        allowed = ROUNDING * torch.finfo(expected.dtype).eps * float(expected.abs().max())
        if not float((found - expected).abs().max()) <= allowed:
            return whole
    return tried


def _numpy_rows(lens: OpenedModel, scores: WordScores, start: int, stop: int) -> Array:
    return to_numpy(scores.rows(lens, start, stop))
