"""The Reading page: the text as text, shaded by what a token looks at; source and output beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.arrays.types import Array
from model.maps.rollout import rollout_map
from model.measures.copying import copied_runs, coverage
from model.memory.cached_layers import without_cache
from model.tokenization.text_layout import place_tokens, sentences, words
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.linking import query_stack
from viz.figures.reading_back import text_error
from viz.figures.theme import Palette, escape
from viz.figures.tinted_text import TextMap, TextSide, tinted_text
from viz.frame import session
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import say
from viz.saving import tables
from viz.widgets import page_check, pickers
from viz.widgets import tinted_text as widget
from viz.widgets.menus import save_menu

if TYPE_CHECKING:
    import pandas as pd

HOWS = ("one_head", "head_mean", "rollout")
PALE = 0.5  # of its part of the text: a sentence with less of the attention is pale


def require_text(trace: Trace) -> None:
    """End the page where a model sees pictures.

    Raises:
        Halt: the page says so.
    """
    if trace.picture is not None:
        session.halt(say("text.pictures"), of_input=True)
    if trace.sound is not None:
        session.halt(say("sounds.no_text"), of_input=True)


@dataclass(frozen=True)
class _Shares:
    """The parts of a text, the share of the attention that each gets, and which get little."""

    parts: Sequence[range]
    covers: Sequence[float] = ()
    pale: Sequence[bool] = ()


def pick_how(attention: Attention) -> str:
    """What is shown: one head, the mean of a layer's heads, or rollout, which self-attention alone has."""
    return option_row(say("text.how"), HOWS if attention.kind != "cross" else HOWS[:2], HOWS[0], "reading_how")


@contextmanager
def text_ahead(*, code: bool = False) -> Iterator[DeltaGenerator]:
    """A context for what a page may halt at, with room for its texts: a long one is in sight before its pass is made.

    Args:
        code: its lines are not broken.
    """
    room = st.empty()
    if results.is_long_wait():
        with room.container():
            widget.draw_ahead(str(st.session_state.text), code=code)
    try:
        yield room
    except session.Halt:  # what the page says of the text stands beside the box
        room.empty()
        raise


def draw(trace: Trace, selected: pickers.SelectedHead, how: str, palette: Palette) -> None:
    """The texts of a run, with the weights of the chosen head, mean or rollout; and their save menu."""
    attention, row = selected.attention, pickers.chosen_row(selected.attention)
    key_stack = "decoder" if attention.kind == "decoder" else "encoder"
    stacks = (query_stack(attention.kind), key_stack)
    found = TextMap(_weights(trace, selected, how), attention.queries, attention.keys, stacks)
    sides = _sides(trace, attention.kind)
    expected = _independent(trace, selected, how)
    sent, names = widget.draw(found, row)
    page_check.claim(trace, "text", None if expected is None else text_error(sent, expected, names))
    shares = [_shares(side, found) for side in sides]
    _draw_sides(sides, shares)
    token = escape(attention.queries.name(row))
    title = say(f"text.figure_{how}", layer=selected.layer, head=selected.head, token=token)
    notes = [say("text.look"), say("text.cover_look") if len(sides) > 1 else "", _claim(attention, how)]
    one_text = stacks[0] == stacks[1]

    def table() -> pd.DataFrame:
        return tables.focus_table(found.weights, attention.queries, attention.keys, row, one_text=one_text)

    saved = [_with_shares(side, one) for side, one in zip(sides, shares, strict=True)]
    figure = tinted_text(saved, found, row, title, palette)
    widget.register_figure(found, row, figure, "text", " ".join(filter(None, notes)), table)
    save_menu.menu("text")


def _draw_sides(sides: Sequence[TextSide], shares: Sequence[_Shares]) -> None:
    """The texts beside each other."""
    columns = st.columns(len(sides)) if len(sides) > 1 else [st.container()]
    for side, one, column in zip(sides, shares, columns, strict=True):
        with column:
            st.html(widget.side_html(side, one.parts, one.covers, one.pale, named=len(sides) > 1))


def _shares(side: TextSide, found: TextMap) -> _Shares:
    """What each part of a text gets, of one that another text looks at; else its parts alone."""
    parts = sentences(side.placed)
    if side.stack == found.stacks[0] or found.stacks[0] == found.stacks[1]:
        return _Shares(parts)
    covers, fair = coverage(found.weights, parts, [not one.special for one in side.placed])
    pale = [cover < PALE * part for cover, part in zip(covers, fair, strict=True)]
    return _Shares(parts, [float(one) for one in covers], pale)


def _with_shares(side: TextSide, shares: _Shares) -> TextSide:
    """A text as its figure shows it: a line for each part, with its share before it."""
    if not shares.covers:
        return side
    margin = {part[0]: f"{cover:.0%}" for part, cover in zip(shares.parts, shares.covers, strict=True) if len(part)}
    forgotten = frozenset(place for part, one in zip(shares.parts, shares.pale, strict=True) if one for place in part)
    return replace(side, margin=margin, pale=forgotten)


def _claim(attention: Attention, how: str) -> str:
    """What a mean or a rollout may claim; "" for one head."""
    if how == "head_mean":
        return say("text.mean_claim", heads=attention.num_heads)
    return say("compare.claim_rollout") if how == "rollout" else ""


def _weights(trace: Trace, selected: pickers.SelectedHead, how: str) -> Array:
    """Weights of the chosen head, mean or rollout, 0 where masked. float32 [query, key]"""
    attention, layer, head = selected.attention, selected.layer, selected.head
    everything = range(len(attention.queries)), range(len(attention.keys))

    def measure(maps: Attention) -> Array:
        def one(number: int) -> Array:
            return np.nan_to_num(maps.pooled(layer, number, *everything), nan=0.0)

        if how == "one_head":
            return one(head)
        if how == "head_mean":
            return sum(map(one, range(1, maps.num_heads)), start=one(0)) / np.float32(maps.num_heads)
        steps = (maps.across_layers("attention_with_residual", below) for below in range(layer + 1))
        return rollout_map(step.astype(np.float32) for step in steps)

    key = ("reading", how, layer, head if how == "one_head" else None)
    return measured(trace, attention, key, measure, lambda made: made.nbytes)


def _independent(trace: Trace, selected: pickers.SelectedHead, how: str) -> Array | None:
    """As `_weights`, computed anew where nothing is cached; None for a rollout. [query, key]"""
    attention, layer = without_cache(selected.attention), selected.layer
    if how == "rollout":
        return None
    heads = [selected.head] if how == "one_head" else range(attention.num_heads)
    rows = range(len(attention.queries))
    total: Array = np.zeros((len(rows), len(attention.keys)), np.float32)
    for head in heads:
        total += attention.select(layer, range(head, head + 1), rows).weights()[0]
    return total / np.float32(len(heads))


def _sides(trace: Trace, kind: str) -> Sequence[TextSide]:
    """The texts that a kind of attention is between: one, or source and output with the words that stand in both."""
    if kind == "encoder":
        return [TextSide(say("text.source"), place_tokens(trace.tokens["encoder"], trace.text), "encoder")]
    if kind == "decoder":
        text = (trace.output or "") if "encoder" in trace.tokens else f"{trace.text}{trace.output or ''}"
        return [TextSide(say("text.output"), place_tokens(trace.tokens["decoder"], text), "decoder")]
    source = place_tokens(trace.tokens["encoder"], trace.text)
    output = place_tokens(trace.tokens["decoder"], trace.output or "")
    source_words, output_words = words(source), words(output)
    runs = copied_runs([word for word, _ in output_words], [word for word, _ in source_words])
    copied = [
        _tokens_of(found, [(getattr(run, side), run.length) for run in runs])
        for found, side in ((source_words, "source"), (output_words, "output"))
    ]
    return [
        TextSide(say("text.source"), source, "encoder", copied[0]),
        TextSide(say("text.output"), output, "decoder", copied[1]),
    ]


def _tokens_of(found: Sequence[tuple[str, range]], runs: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The tokens of runs of words. runs: the first word of each, and its length"""
    return frozenset(place for start, length in runs for _, tokens in found[start : start + length] for place in tokens)
