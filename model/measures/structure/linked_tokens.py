"""Which heads look from one of two linked tokens to the other, against the best fixed offset (NumPy only).

Clark et al. 2019, "What Does BERT Look At?": a head follows a relation as often as its largest weight falls on the
right token; an offset such as "three back" is what it must beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from model.arrays.types import Array
from model.structures.program import RELATIONS, read_program
from model.tokenization.text_layout import PlacedToken, place_tokens, token_spans, tokens_within
from model.trace.attention import Attention
from model.trace.tokens import Tokens

TokenLink = tuple[int, tuple[int, ...]]  # a query, and the keys that are right for it
CHANCE = 0.05  # a head is named where luck, over all heads, would do as well less often


@dataclass(frozen=True, eq=False)
class Followed:
    """How often heads look at the right token.

    Attributes:
        hits: of the links, how many each head follows. int64 [layer, head]
        total: number of links.
        offset: the best fixed offset in tokens, negative for back; offset_hits: how many links it follows.
        named: heads that beat the offset by more than luck. bool [layer, head]
    """

    hits: Array
    total: int
    offset: int
    offset_hits: int
    named: Array

    @property
    def best(self) -> tuple[int, int]:
        """Layer and head that follow the most links."""
        layer, head = np.unravel_index(int(self.hits.argmax()), self.hits.shape)
        return int(layer), int(head)


@dataclass(frozen=True)
class LinkedProgram:
    """A program with its tokens in their places, and its links between tokens by relation.

    Attributes:
        wrong_line: number of the first line that cannot be read, from 1; 0 where all can.
    """

    placed: Sequence[PlacedToken]
    links: Mapping[str, Sequence[TokenLink]]
    wrong_line: int


def linked_program(text: str, tokens: Tokens, causal: bool) -> LinkedProgram:
    """What Python says belongs together in a text, between its tokens.

    Args:
        causal: leave out keys that a query cannot see.
    """
    program = read_program(text)
    placed = place_tokens(tokens, text)
    spans = token_spans(placed, text)
    links: dict[str, list[TokenLink]] = {name: [] for name in RELATIONS}
    for link in program.links:
        later, earlier = tokens_within(spans, *link.later), tokens_within(spans, *link.earlier)
        keys = tuple(key for key in earlier if later and key != later[-1] and (not causal or key < later[-1]))
        if keys:
            links[link.relation].append((later[-1], keys))
    return LinkedProgram(placed, links, program.wrong_line)


def follows(attention: Attention, links: Sequence[TokenLink], resting: Sequence[int] = ()) -> Followed:
    """How often each head's largest weight falls on a right key, with the best fixed offset beside it.

    The query itself, special tokens and resting places are left out: a head may rest there and still choose.

    Args:
        links: of one relation; at least one.
        resting: further keys that are left out unless they are right, such as the first token of a decoder.
    """
    queries, allowed, right = _choices(links, attention.keys.special, resting)
    hits = np.zeros((attention.num_layers, attention.num_heads), np.int64)
    unique, rows = np.unique(queries, return_inverse=True)
    for layer in range(attention.num_layers):
        weights = np.nan_to_num(attention.select(layer, range(attention.num_heads), unique.tolist()).weights())
        hits[layer] = _right_choice(weights[:, rows], allowed, right).sum(axis=-1)
    offset, offset_hits = best_offset(links)
    chance = max(offset_hits / len(links), float(np.mean(right.sum(-1) / allowed.sum(-1).clip(1))))
    tries = hits.size
    needed = next((n for n in range(len(links) + 1) if tries * _at_least(n, len(links), chance) < CHANCE), None)
    named = hits >= needed if needed is not None else np.zeros_like(hits, bool)
    return Followed(hits, len(links), offset, offset_hits, named & (hits > offset_hits))


def followed_links(
    weights: Array, links: Sequence[TokenLink], special: Sequence[bool], resting: Sequence[int] = ()
) -> Array:
    """Which links one head, or a mean of heads, follows. bool [link]; weights: [query, key]"""
    queries, allowed, right = _choices(links, special, resting)
    return _right_choice(weights[queries], allowed, right)


def _choices(links: Sequence[TokenLink], special: Sequence[bool], resting: Sequence[int]) -> tuple[Array, Array, Array]:
    """The queries [link]; the keys that count, and those that are right, bool [link, key]."""
    queries = np.array([query for query, _ in links])
    right = np.zeros((len(links), len(special)), bool)
    for row, (_, keys) in enumerate(links):
        right[row, list(keys)] = True
    allowed = np.ones_like(right)
    allowed[:, np.array(special, bool)] = False
    allowed[:, list(resting)] = False
    allowed[np.arange(len(links)), queries] = False
    return queries, allowed | right, right


def _right_choice(weights: Array, allowed: Array, right: Array) -> Array:
    """Whether the largest weight among the keys that count is on a right one. bool [..., link]"""
    chosen = np.where(allowed, weights, -1.0).argmax(axis=-1)
    found: Array = right[np.arange(len(right)), chosen]
    return found


def best_offset(links: Sequence[TokenLink]) -> tuple[int, int]:
    """The distance in tokens that is right most often, the shortest of several; and how often it is."""
    counts: dict[int, int] = {}
    for query, keys in links:
        for distance in {key - query for key in keys}:
            counts[distance] = counts.get(distance, 0) + 1
    offset = max(counts, key=lambda distance: (counts[distance], -abs(distance)))
    return offset, counts[offset]


def _at_least(hits: int, total: int, chance: float) -> float:
    """Probability of at least so many hits by luck."""
    return sum(comb(total, n) * chance**n * (1 - chance) ** (total - n) for n in range(hits, total + 1))


def followed_relations(
    attention: Attention, links: Mapping[str, Sequence[TokenLink]], resting: Sequence[int] = ()
) -> dict[str, Followed]:
    """`follows` for each relation that has links."""
    return {name: follows(attention, one, resting) for name, one in links.items() if one}
