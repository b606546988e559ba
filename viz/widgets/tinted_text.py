"""Texts on the page, tinted in the browser by what the focus token looks at; for every page that shows text as text."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from model.memory.cached_layers import without_cache
from model.trace.trace import Trace
from viz.browser.resources import BROWSER
from viz.figures.linking import key_stack, query_stack
from viz.figures.reading_back import text_error
from viz.figures.tinted_text import TextMap, TextSide
from viz.language import text_readings
from viz.language.messages import isolate_rtl, say, strip_markdown
from viz.widgets import page_check, pickers
from viz.widgets.menus import save_menu

_code = st.components.v2.component("headlight_text", js=(BROWSER / "tinted_text.js").read_text(encoding="utf-8"))


def draw(found: TextMap, row: int) -> tuple[bytes, list[list[str]]]:
    """Send the weights of the texts on the page, once a head, and say what the token in focus does.

    Args:
        row: position of the query that the server shows.

    Returns:
        What was sent, and the names of the tokens of both sides.
    """
    st.html(BROWSER / "tinted_text.css")
    names = _names(found)
    plain = strip_markdown(_reading(found, row))
    with st.container(key="reading"):
        st.html(f'<p class="text-said">{escape(plain)}</p>')
    st.session_state.said = plain
    sent = message(found, names)
    _code(key="flip_text", data=sent)
    return sent, names


def _names(found: TextMap) -> list[list[str]]:
    return [[tokens.name(i) for i in range(len(tokens))] for tokens in (found.queries, found.keys)]


def _reading(found: TextMap, row: int) -> str:
    """What the token in focus looks at, and what looks at it, as Markdown."""
    column = found.weights[:, row] if found.stacks[0] == found.stacks[1] else np.zeros(0)
    return text_readings.focus_reading(found.weights[row], column, found.rests, _names(found), row)


def register_figure(
    found: TextMap, row: int, figure: object, key: str, caption: str, table: save_menu.TableSource
) -> None:
    """Add the figure to save of what `draw` shows to those of the page, with the sentence about the token in focus."""
    save_menu.register_figure(figure, key, caption, table, wide=table)
    save_menu.register_note(key, _reading(found, row))


def draw_ahead(text: str, *, code: bool = False) -> None:
    """Draw a text whose pass is being made, with no tokens to point at yet. code: its lines are not broken"""
    st.html(BROWSER / "tinted_text.css")
    kind = "read-text code" if code else "read-text"
    said = escape(say("text.ahead"))
    st.html(f'<p class="read-ahead">{said}</p><div class="{kind} ahead" aria-busy="true">{escape(text)}</div>')


def draw_head(trace: Trace, selected: pickers.SelectedHead, row: int) -> TextMap:
    """As `draw`, with the weights of the head on screen, which the page's badge then covers.

    Returns:
        What was sent.
    """
    attention, layer, head = selected.attention, selected.layer, selected.head
    queries, keys = range(len(attention.queries)), range(len(attention.keys))
    weights = np.nan_to_num(attention.pooled(layer, head, queries, keys), nan=0.0)
    stacks = query_stack(attention.kind), key_stack(attention.kind)
    found = TextMap(weights, attention.queries, attention.keys, stacks)
    sent, names = draw(found, row)
    expected = without_cache(attention).select(layer, range(head, head + 1), queries).weights()[0]
    page_check.claim(trace, "text", text_error(sent, np.nan_to_num(expected), names))
    return found


def side_html(
    side: TextSide,
    parts: Sequence[range],
    covers: Sequence[float] = (),
    pale: Sequence[bool] = (),
    *,
    named: bool = False,
    gutter: str = "",
) -> str:
    """One text as HTML: white space as typed, each token with its stack and place.

    Args:
        parts: tokens of each sentence or line.
        covers: the share of attention that fell on each part, drawn in the margin; empty for none.
        pale: parts that got little of it.
        named: show the name of the text above it.
        gutter: arcs at its left, of `gutter_arcs`; the text is then code, whose lines are not broken.
    """
    pieces = []
    for number, part in enumerate(parts):
        inner = "".join(_token(side, place) for place in part)
        if covers:
            share = covers[number]
            why = escape(say("text.covered"))
            margin = f'<span class="cover" style="--cover: {share:.3f}" title="{why}">{share:.0%}</span>'
            kind = " pale" if pale[number] else ""
            inner = f'<span class="read-sentence covered{kind}">{margin}{inner.strip()}</span>'
        pieces.append(inner)
    name = escape(side.name)
    kind = "read-text code" if gutter else "read-text"
    gutter = f'<span class="gutter" data-arcs="{escape(gutter)}"></span>' if gutter else ""
    body = f'<div class="{kind}" role="group" aria-label="{name}">{gutter}{"".join(pieces)}</div>'
    return f'<p class="read-name">{name}</p>{body}' if named else body


def _token(side: TextSide, place: int) -> str:
    one = side.placed[place]
    if not one.shown:
        return ""
    kinds = ["read-token"] + ["special"] * one.special + ["copied"] * (place in side.copied)
    shown, after = one.shown, ""
    if not shown.strip():  # white space that is a token: a sign to point at, then the space itself
        shown, after = ("⏎", one.shown) if "\n" in one.shown else (one.shown, "")
        kinds.append("sign")
    label = f' aria-label="{escape(shown.strip() or "␣")}"' if not one.shown.strip() else ""
    tab = 0 if place == 0 else -1  # the arrow keys go on from there
    return (
        f'{escape(one.before)}<span class="{" ".join(kinds)}" tabindex="{tab}" role="button"{label} '
        f'data-stack="{side.stack}" data-place="{place}">{escape(isolate_rtl(shown))}</span>{after}'
    )


def message(found: TextMap, names: Sequence[Sequence[str]]) -> bytes:
    """What the browser gets: length of the header, header, and deflated scales, resting shares and steps."""
    header = {
        "stacks": found.stacks,
        "rows": len(found.queries),
        "columns": len(found.keys),
        "names": names,
        "rests": [bool(one) for one in found.rests],
        "templates": text_readings.focus_templates(),
    }
    text = json.dumps(header).encode()
    numbers = found.scales.tobytes() + found.rested().tobytes() + found.steps().tobytes()
    return struct.pack("<I", len(text)) + text + zlib.compress(numbers, 1)
