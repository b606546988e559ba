"""One head, large: a change of head or layer draws anew what differs, and nothing of what stands around it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.heads import MOSAIC_MARGIN, Window, head_heatmap
from viz.figures.lines import token_lines
from viz.figures.pictures import patch_overlay
from viz.frame import server_state, session
from viz.frame.fragments import page_fragment
from viz.language import readings
from viz.language.messages import current_language, say
from viz.saving import tables
from viz.sections import head_flip
from viz.widgets import badge, charts, pickers, save_menu

# Seconds between two figures. The browser shows what came together at the same time: the map would wait for the lines.
BREATH = 0.12


@dataclass(frozen=True)
class Places:
    """Where on the page something stands that differs from head to head.

    Attributes:
        picker: for the widgets that choose a head; the others hold what belongs to it, and no widget.
        tile: over the picture of all heads.
        table: None while it is closed.
    """

    picker: DeltaGenerator
    tile: DeltaGenerator
    title: DeltaGenerator
    reading: DeltaGenerator
    overlay: DeltaGenerator
    hidden: DeltaGenerator
    heatmap: DeltaGenerator
    lines: DeltaGenerator
    table: DeltaGenerator | None


def open_clicked() -> None:
    """Open the head whose thumbnail was clicked.

    Not in the page's own file: Streamlit never forgets a callback, and that would hold the page's run for ever.
    """
    points = st.session_state.mosaic.selection.points
    tile = points[0]["customdata"][:2] if points else st.session_state.get("tile")
    if tile:  # a second click on the same thumbnail only ends its selection
        st.session_state.tile = tile
        st.session_state.layer, st.session_state.head = (int(i) for i in tile)


@page_fragment
def draw(trace: Trace, attention: Attention, tile: DeltaGenerator) -> None:
    """One head: the whole map, one row of it, and the check of its numbers.

    Args:
        tile: over the picture of all heads, for a box around the one that is drawn.
    """
    # Containers where `_head` writes, as Streamlit demands; elsewhere none: a browser goes through them at every click.
    picker, title = st.empty(), st.container()
    head_flip.listen()
    row = pickers.pick_token(attention.queries, say(f"kinds.{attention.kind}_row"), f"row_{attention.kind}", start=1)
    reading, overlay, overlay_menu = st.container(), st.container(), st.empty()
    specials = not st.toggle(say("heads.hide"), key="hide", help=say("heads.hide_help"), bind="query-params")
    hidden = st.container()
    window = pickers.pick_window(attention)
    left, right = st.columns([3, 2])
    heatmap, heatmap_menu, check = left.container(), left.empty(), left.empty()
    lines, lines_menu = right.container(), right.empty()
    room = st.expander(say("heads.table"), on_change="rerun", key="table")
    table = room.container() if room.open else None
    places = Places(picker, tile, title, reading, overlay, hidden, heatmap, lines, table)
    with picker:
        _head(trace, attention, row, specials, window, places)
    for menu, key in ((overlay_menu, "overlay"), (heatmap_menu, "heatmap"), (lines_menu, "lines")):
        with menu:
            save_menu.menu(key)
    with check:
        badge.verification_badge(trace, "heads")  # once all is drawn: it runs the model a second time


@page_fragment
def _head(trace: Trace, attention: Attention, row: int, specials: bool, window: Window | None, places: Places) -> None:
    palette, whole = session.palette(), st.session_state.whole
    how: Any = {"specials": specials, "row": row, "window": window}
    with server_state.one_at_a_time():
        layer, head = pickers.pick_layer_head(trace, attention, *st.columns([2, 4], gap="medium"))
        heatmap = head_heatmap(attention, layer, head, palette, **how)
        numbers = save_menu.weights_table(attention, layer, head)
        look = f"{readings.map_caption(attention, layer, specials, row)} {say('flip.why')}"
        # The map first: what the browser gets with it, it shows with it.
        charts.chart(places.heatmap, heatmap, "heatmap", look, table=numbers)
    _box_tile(attention, layer, head, places.tile)
    places.title.header(say("heads.one", layer=layer, head=head), anchor=False)
    charts.announced_markdown(readings.row_reading(trace, attention, layer, head, row), places.reading)
    _over_picture(trace, attention, layer, head, row, places.overlay)
    if not specials:
        places.hidden.caption(readings.special_mass_reading(attention, layer, head))
    if places.table:
        _row_table(attention, layer, head, row, places.table)
    if not whole:
        time.sleep(BREATH)
    lines = token_lines(attention, layer, head, palette, **how)
    charts.chart(places.lines, lines, "lines", say("heads.lines_look"), table=numbers)
    pieces = attention is trace.attentions[attention.kind]  # not merged into words
    key = ("flip", trace.serial, attention.kind, pieces, layer, specials, window, palette, current_language())
    heads = server_state.result_cache().get(
        key, lambda: head_flip.message(attention, layer, palette, specials, window), len
    )
    head_flip.draw(heads)


def _over_picture(trace: Trace, attention: Attention, layer: int, head: int, row: int, room: DeltaGenerator) -> None:
    """Where a token looks, laid over the picture the model saw; nothing where it read a text."""
    if trace.picture is None:
        return
    weights = attention.row(layer, row)[head]
    overlay = patch_overlay(trace.picture, weights, row, attention.queries.texts[row], session.palette())
    share = weights[: trace.picture.first].sum()
    charts.chart(room, overlay, "overlay", say("pictures.look", share=f"{share:.0%}"))


def _row_table(attention: Attention, layer: int, head: int, row: int, room: DeltaGenerator) -> None:
    """One query's keys as a table."""
    room.dataframe(
        tables.row_table(attention, layer, head, row),
        hide_index=True,
        column_config={
            say("table.weight"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            say("table.score"): st.column_config.NumberColumn(format="%.3f"),
        },
    )


def _box_tile(attention: Attention, layer: int, head: int, room: DeltaGenerator) -> None:
    """Draw a box over the chosen head's thumbnail, so that the picture of all heads need not be drawn again.

    By its own style: a style sheet, when it changes, makes the browser look at the whole page.
    """
    left, right, top, bottom = (MOSAIC_MARGIN[side] for side in "lrtb")
    across, down = f"(100% - {left + right}px)", f"(100% - {top + bottom}px)"
    room.html(
        f'<div class="box" style="border: 3px solid {session.palette().second};'
        f"left: calc({left}px + {across} * {head / attention.num_heads:.5f});"
        f"top: calc({top}px + {down} * {layer / attention.num_layers:.5f});"
        f"width: calc({across} * {1 / attention.num_heads:.5f});"
        f'height: calc({down} * {1 / attention.num_layers:.5f})"></div>'
    )
