"""Attention as guesses of contacts: the correction by hand, and heads that do and do not find what touches."""

from __future__ import annotations

import numpy as np
import pytest

from model.measures.structure.contacts import GAP, contact_precision, contact_scores, top_pairs
from tests.model.measures.test_measures import made_up

COUNT = 16


def touching() -> np.ndarray:
    """A hairpin: residue i touches the one as far from the other end."""
    found = np.zeros((COUNT, COUNT), bool)
    for i in range(COUNT):
        found[i, COUNT - 1 - i] = True
    return found


def test_the_correction_takes_off_what_rows_and_columns_explain() -> None:
    weights = np.array([[0.1, 0.9], [0.5, 0.5]])
    both = np.array([[0.2, 1.4], [1.4, 1.0]])
    expected = both - both.sum(1, keepdims=True) * both.sum(0) / both.sum()
    np.testing.assert_allclose(contact_scores(weights), expected)
    column = np.tile([0.7, 0.1, 0.1, 0.1], (4, 1))  # everyone looks at the first: no pair stands out of its column
    scores = contact_scores(np.stack([column, np.eye(4)]))
    assert scores.shape == (2, 4, 4)
    assert np.abs(scores[0][1:, 1:]).max() < 0.2 * np.abs(scores[1]).max()


def test_pairs_are_far_enough_apart_and_the_strongest() -> None:
    scores = np.zeros((10, 10))
    scores[2, 9], scores[0, 1] = 5, 9  # the latter are neighbours
    rows, columns = top_pairs(scores)
    assert (rows[0], columns[0]) == (2, 9)
    assert (columns - rows).min() >= GAP
    assert len(rows) == 10  # as many as there are residues


def test_a_head_that_looks_at_what_touches_finds_it() -> None:
    knows = np.full((COUNT + 2, COUNT + 2), 1e-4)  # a mark stands before and after the residues
    knows[1:-1, 1:-1] += touching()
    even = np.full_like(knows, 1 / len(knows))
    attention = made_up(knows / knows.sum(1, keepdims=True), even)
    found = contact_precision(attention, range(1, COUNT + 1), touching())
    compared = [(i, j) for i in range(COUNT) for j in range(i + GAP, COUNT)]
    right = sum(touching()[i, j] for i, j in compared)
    assert found.pairs == COUNT
    assert found.hits[0, 0] == right  # all of them
    assert found.best == (0, 0)
    assert found.chance == pytest.approx(right / len(compared))
    nearest = sorted(compared, key=lambda pair: pair[1] - pair[0])[:COUNT]
    assert found.nearest == sum(touching()[pair] for pair in nearest)


def test_a_chain_without_distant_pairs_has_none() -> None:
    found = contact_precision(made_up(np.full((4, 4), 0.25)), range(4), np.ones((4, 4), bool))
    assert found.pairs == 0
