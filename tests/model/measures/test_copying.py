"""What an output took from its source, on made-up texts and weights."""

from __future__ import annotations

import numpy as np

from model.maps.rollout import rollout, rollout_map
from model.measures.copying import CopiedRun, copied_runs, coverage


def test_the_longest_runs_are_found_and_single_words_are_not() -> None:
    source = ["the", "board", "met", "to", "hire", "five", "more", "drivers", "and", "five", "more", "buses"]
    assert copied_runs(["plan", "to", "hire", "five", "more", "drivers"], source) == [CopiedRun(1, 3, 5)]
    assert copied_runs(["five", "more", "buses"], source) == [CopiedRun(0, 9, 3)]  # not the first "five more"
    assert copied_runs(["drivers", "board", "five"], source) == []
    assert copied_runs(["more", ","], ["more", ","]) == []  # a sign is no word


def test_coverage_is_the_share_of_each_part() -> None:
    weights = np.array([[0.5, 0.25, 0.25, 0.0], [0.5, 0.0, 0.5, 0.0]], np.float32)
    parts = (range(0, 2), range(2, 4))
    looked, fair = coverage(weights, parts, [False, True, True, True])  # the first token is a mark
    np.testing.assert_allclose(looked, [0.25, 0.75])
    np.testing.assert_allclose(fair, [1 / 3, 2 / 3])
    uniform, fair = coverage(np.full((3, 4), 0.25), parts, [False, True, True, True])
    np.testing.assert_allclose(uniform, fair)
    assert coverage(weights, parts, [False] * 4)[0].tolist() == [0, 0]


def test_the_map_of_rollout_has_the_rows_of_rollout() -> None:
    layers = np.random.default_rng(1).dirichlet(np.ones(4), (3, 4))  # they do not commute
    whole = rollout_map(layers)
    np.testing.assert_allclose(whole.sum(-1), 1)
    for query in range(4):
        np.testing.assert_allclose(whole[query], rollout(layers[::-1], query))
    assert not np.allclose(whole, rollout_map(layers[::-1]))
