"""Heads that look from one of two tokens that belong together to the other, against the best fixed offset."""

from __future__ import annotations

import numpy as np

from model.measures.structure.linked_tokens import best_offset, followed_links, follows
from tests.model.measures.test_measures import made_up

SIZE = 24
# Distances that differ, so that no offset is right often.
LINKS = [(query, (query * 7 % query,)) for query in range(11, SIZE)]


def looking(links: list[tuple[int, tuple[int, ...]]]) -> np.ndarray:
    weights = np.full((SIZE, SIZE), 0.1 / SIZE)
    for query, keys in links:
        weights[query, keys[0]] = 0.3
        weights[query, 0] += 0.6  # it rests on the first token
    return weights


def test_a_head_is_named_only_where_it_beats_the_best_offset() -> None:
    links = [(query, (query - 1 - query % 5,)) for query in range(8, SIZE)]
    back = np.eye(SIZE, k=-2)
    attention = made_up(looking(links), back, np.full((SIZE, SIZE), 1 / SIZE))
    found = follows(attention, links, resting=[0])
    assert found.hits[0].tolist()[0] == len(links) == found.total
    assert found.named[0].tolist() == [True, False, False]
    assert found.best == (0, 0)
    assert found.offset_hits == max(sum(key - query == -d for query, (key,) in links) for d in range(1, 6))
    assert found.hits[0, 1] <= found.offset_hits


def test_a_relation_that_an_offset_explains_names_no_head() -> None:
    links = [(query, (query - 1,)) for query in range(1, SIZE)]
    found = follows(made_up(np.eye(SIZE, k=-1)), links)
    assert (found.offset, found.offset_hits) == (-1, found.total)
    assert found.hits[0, 0] == found.total  # as good as the offset, which is not better
    assert not found.named.any()


def test_few_links_prove_nothing() -> None:
    links = [(9, (3,)), (12, (1,))]
    assert not follows(made_up(looking(links), *[np.eye(SIZE)] * 20), links, resting=[0]).named.any()


def test_special_tokens_and_the_token_itself_are_no_choice() -> None:
    weights = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.4, 0, 0.5, 0.1], [0.6, 0.1, 0.0, 0.3]])
    links = [(2, (3,)), (3, (1, 2)), (3, (2,))]
    assert followed_links(weights, links, [True, False, False, False]).tolist() == [True, True, False]
    assert best_offset(links) == (-1, 2)
