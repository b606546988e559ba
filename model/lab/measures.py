"""The measures of the lab: their names and units, and all of them for one run (NumPy only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.arrays.types import Array
from model.measures.heads.head_characters import every_character, whole_maps
from model.measures.heads.row_shapes import SHAPES, row_shapes
from model.trace.attention import Attention

SHARE, BITS, TOKENS = "share", "bits", "tokens"
SELF_ONLY = ("previous", "same", "next", "first", "induction", "rarest", "distance")
CROSS_ONLY = ("copies", "copied", "fed_in", "predicted")
# Name -> unit. All but the last three are characters of `model.measures.heads.head_characters`; "separator" is the
# part of "rests" that goes to the last token, where that is special.
MEASURES: Mapping[str, str] = {
    "previous": SHARE,
    "same": SHARE,
    "next": SHARE,
    "first": SHARE,
    "rests": SHARE,
    "separator": SHARE,
    "induction": SHARE,
    "rarest": SHARE,
    "copies": SHARE,
    "copied": SHARE,
    "fed_in": SHARE,
    "predicted": SHARE,
    "spreads": SHARE,
    "confidence": SHARE,
    "entropy": BITS,
    "distance": TOKENS,
}


def fitting(kind: str) -> tuple[str, ...]:
    """The measures that a kind of attention can have."""
    return tuple(name for name in MEASURES if name not in (SELF_ONLY if kind == "cross" else CROSS_ONLY))


def all_measures(
    attention: Attention, ids: Sequence[int] | None, aligners: Sequence[tuple[int, int]], wanted: Sequence[str]
) -> tuple[Array, Array]:
    """Every measure of every head in one run, and what an even look over the allowed keys would have.

    Args:
        ids, aligners: as for `head_characters`; wanted: names of measures.

    Returns:
        Two float32 arrays [measure, layer, head]; NaN where this run or this kind of attention cannot show a measure,
        and where there is no baseline.
    """
    maps = whole_maps(attention)
    shape = (attention.num_layers, attention.num_heads)
    found: dict[str, tuple[Array, Array]] = {}
    last = attention.key_tokens[-1] if attention.keys.special[-1] else None
    if {*wanted} - {*SHAPES}:
        for one in every_character(attention, maps, ids, aligners):
            if not one.token:
                found[one.name] = one.share, one.baseline
            elif one.token == last:
                found["separator"] = one.share, one.baseline
    if {*wanted} & {*SHAPES}:
        shapes = [row_shapes(attention, weights) for weights in maps]
        for name in SHAPES:
            found[name] = np.stack([one[name] for one in shapes]), np.full(shape, np.nan)
    nothing = (np.full(shape, np.nan), np.full(shape, np.nan))
    values, baselines = zip(*(found.get(name, nothing) for name in wanted), strict=True)
    return np.stack(values).astype(np.float32), np.stack(baselines).astype(np.float32)
