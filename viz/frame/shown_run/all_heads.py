"""Measures over all heads of a run, computed once: of a long text in turns with the passes of others."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from model.memory.cached_layers import without_cache
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.frame import server_state

Measured = TypeVar("Measured")


def measured(
    trace: Trace,
    attention: Attention,
    key: tuple[Hashable, ...],
    measure: Callable[[Attention], Measured],
    size_of: Callable[[Measured], int],
) -> Measured:
    """A measure of one kind of attention of a run, cached.

    Args:
        attention: of the trace, between tokens or merged into words.
        key: name of the measure, and its arguments.
        measure: reads the maps of all layers, between which others' passes go first; size_of: bytes of its result.
    """

    def make() -> Measured:
        maps = without_cache(attention)  # the run is at hand before the turn is taken
        with server_state.computing(trace.text):
            return measure(maps)

    how_drawn = drawn_as(trace, attention)
    return server_state.result_cache().get((*key, trace.serial, attention.kind, how_drawn), make, size_of)


def drawn_as(trace: Trace, attention: Attention) -> tuple[bool, int, int]:
    """What tells an attention of a run apart from the same between words, or with its silence as one token."""
    whole = attention is trace.attentions.get(attention.kind)
    return whole, len(attention.queries), len(attention.keys)
