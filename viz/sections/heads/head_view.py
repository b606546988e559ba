"""One head, large, beside the tiles of all heads: map, lines and reading, which the browser keeps in step."""

from __future__ import annotations

import json
import struct
import time
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.browser.resources import script
from viz.figures.cell_pooling import pooled_shape
from viz.figures.grid import MAX_BORDERED
from viz.figures.heads import (
    THUMBNAIL_GAP,
    THUMBNAIL_PIXELS,
    Window,
    head_heatmap,
    visible_positions,
)
from viz.figures.lines import token_lines
from viz.figures.linking import query_stack
from viz.figures.pictures import patch_overlay
from viz.figures.sounds import sound_bars
from viz.figures.theme import Palette, colour_indices, rgba_colours
from viz.frame import server_state, session
from viz.frame.fragments import page_fragment
from viz.frame.shown_run.all_heads import drawn_as
from viz.language import readings
from viz.language.messages import current_language, escape_markdown, say
from viz.saving import tables
from viz.sections.heads import head_finder, head_menu
from viz.widgets import badge, charts, focus, pickers
from viz.widgets.menus import save_menu

# Seconds between two figures. The browser shows what came together at the same time: the map would wait for the lines.
PAUSE = 0.12
MAX_FOLLOWED = 260  # tokens of a picture whose tint follows the pointer: the browser gets the head's whole map
COARSE = 8  # of the 255 steps that are one in a large map
ARROWS = (  # buttons for the pointer; the keys are the browser's (viz/browser/head_view.js)
    ("layer_up", "arrow_upward", ("layer", -1)),
    ("layer_down", "arrow_downward", ("layer", 1)),
    ("head_left", "arrow_back", ("head", -1)),
    ("head_right", "arrow_forward", ("head", 1)),
)
# The code of a component is sent with each of its messages: the long one goes once, and the heads by a short one.
_code = st.components.v2.component("headlight_view", js=script("tiles", "head_view", "head_overlays"))
_heads = st.components.v2.component(
    "headlight_heads",
    js="""export default ({ data, setTriggerValue }) => {
  const pick = (name, value) => setTriggerValue(name, value)
  globalThis.headlightHeads = data
  globalThis.headlightPick = pick
  document.dispatchEvent(new Event("headlight-heads"))
  return () => { if (globalThis.headlightPick === pick) delete globalThis.headlightPick }
}""",
)


@dataclass(frozen=True)
class Places:
    """Containers of what differs from head to head.

    Attributes:
        keys: for the buttons that step through layers and heads, the only widgets among them.
        table: None while it is closed.
    """

    keys: DeltaGenerator
    title: DeltaGenerator
    heatmap: DeltaGenerator
    lines: DeltaGenerator
    reading: DeltaGenerator
    table: DeltaGenerator | None


@page_fragment
def draw(trace: Trace, attention: Attention, specials: bool) -> None:
    """The large head with its lines and its reading; what is asked for only on demand stands below."""
    _code(key="flip_code")
    with st.container(horizontal=True, key="head_row", vertical_alignment="center", gap="small"):
        title, keys = st.container(key="head_title", width="content"), st.empty()
        head_menu.draw(trace, attention)
    window = pickers.pick_window(attention)
    widths = [5, 3] if trace.picture is None else [1, 1]
    left, right = st.columns(widths, gap="small")
    heatmap, lines = left.container(), right.container()
    reading = st.container(key="reading")
    left, right = st.columns(widths, gap="small")
    heatmap_menu, lines_menu = left.empty(), right.empty()
    more = st.expander(say("heads.table"), key="table", bind="query-params")
    table = more.container() if more.open else None
    with keys:
        _head(trace, attention, specials, window, Places(keys, title, heatmap, lines, reading, table))
    for menu, key in ((heatmap_menu, "heatmap"), (lines_menu, _beside(trace, attention))):
        with menu:
            save_menu.menu(key)


@page_fragment
def _head(trace: Trace, attention: Attention, specials: bool, window: Window | None, places: Places) -> None:
    palette, whole = session.palette(), st.session_state.whole
    with server_state.one_at_a_time(trace.text):
        layer, head = pickers.chosen_head(trace, attention)
        row = pickers.chosen_row(attention)
        with st.container(horizontal=True, key="head_keys", gap=None, width="content"):
            for name, icon, step in ARROWS:
                st.button(
                    f":material/{icon}:",
                    key=name,
                    on_click=_step,
                    args=(*step, attention.num_layers, attention.num_heads),
                    help=say(f"audience.{name}"),
                    type="tertiary",
                )
        how: Any = {"specials": specials, "row": row, "window": window}
        heatmap = head_heatmap(attention, layer, head, palette, fit=True, **how)
        numbers = save_menu.weights_table(attention, layer, head)
        # The map first: what the browser gets with it, it shows with it.
        caption = readings.map_caption(attention, layer, specials, row)
        charts.chart(places.heatmap, heatmap, "heatmap", caption, table=numbers, titled=False)
    heading = [
        say("heads.one", layer=attention.layer_index[layer], head=head),
        head_finder.head_words(trace, attention, layer, head),
    ]
    places.title.header(escape_markdown(" · ".join(filter(None, heading))), anchor=False)
    text = readings.row_reading(trace, attention, layer, head, row)
    hidden = "" if specials else " " + readings.special_mass_reading(attention, layer, head)
    charts.announced_markdown(text + hidden, places.reading)
    save_menu.register_note("heatmap", text + hidden)
    if places.table:
        _row_table(attention, layer, head, row, places.table)
    places.title.html(f'<span class="chosen-head" data-layer="{layer}" data-head="{head}" data-row="{row}"></span>')
    if not whole:
        time.sleep(PAUSE)
    beside = _beside(trace, attention)
    if beside == "heard":
        _over_sound(trace, attention, layer, head, row, places.lines)
    elif beside == "lines":
        lines = token_lines(attention, layer, head, palette, beside=heatmap, **how)
        charts.chart(places.lines, lines, "lines", say("heads.lines_look"), table=numbers, titled=False)
    else:
        _over_picture(trace, attention, layer, head, row, places.lines)
    how_drawn = drawn_as(trace, attention)
    cache_key = ("view", trace.serial, attention.kind, how_drawn, layer, specials, window, palette, current_language())
    cells = server_state.result_cache().get(
        cache_key, lambda: message(trace, attention, layer, palette, specials, window), len
    )
    st.session_state.sent = (attention.kind, layer, cells)
    badge.alarm(trace, ("heatmap", "lines"), places.title)
    _heads(key="flip", data=cells, on_head_change=_pick_head, on_token_change=_pick_token)


def _pick_head() -> None:
    picked = st.session_state.flip.head
    if picked:
        st.session_state.layer, st.session_state.head = (int(i) for i in picked)


def _pick_token() -> None:
    focus.fix(st.session_state.flip.token)


def _step(what: str, step: int, layers: int, heads: int) -> None:
    """One layer or head on, round in a circle."""
    count = layers if what == "layer" else heads
    st.session_state[what] = ((st.session_state.get(what) or 0) + step) % count


def _beside(trace: Trace, attention: Attention) -> str:
    """Key of what stands beside the map: lines between tokens, or what was seen or heard, with what is looked at."""
    if trace.picture is not None:
        return "overlay"
    return "heard" if trace.sound is not None and attention.kind != "decoder" else "lines"


def _over_sound(trace: Trace, attention: Attention, layer: int, head: int, row: int, room: DeltaGenerator) -> None:
    """What a token listens to, in front of the loudness of the sound."""
    assert trace.sound is not None
    weights = attention.row(layer, row)[head]
    figure = sound_bars(trace.sound, weights, attention.queries.texts[row], session.palette())
    share = weights[len(trace.sound.loudness) :].sum()
    charts.chart(room, figure, "heard", say("sounds.look", share=f"{share:.0%}"), titled=False)


def _over_picture(trace: Trace, attention: Attention, layer: int, head: int, row: int, room: DeltaGenerator) -> None:
    """Where a token looks, laid over the picture the model saw."""
    assert trace.picture is not None
    everything = range(len(attention.queries))
    rows = attention.pooled(layer, head, everything, everything) if len(everything) <= MAX_FOLLOWED else None
    weights = attention.row(layer, row)[head]
    overlay = patch_overlay(trace.picture, weights, row, attention.queries.texts[row], session.palette(), rows)
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


def message(
    trace: Trace, attention: Attention, layer: int, palette: Palette, specials: bool, window: Window | None
) -> bytes:
    """What the browser gets: length of the header, header, and deflated colours and a byte a cell [head, row, column].

    Weights in 255 steps, 32 in large maps, which are pooled as everywhere. The chosen head is no part of it: choosing
    another one sends nothing again.

    Args:
        specials, window: what is drawn of a map, as in `viz.figures.heads.head_heatmap`.
    """
    queries, keys = visible_positions(attention, specials, window)
    cells = colour_indices(attention.pooled(layer, None, queries, keys, pooled_shape((len(queries), len(keys)))))
    rows, columns = cells.shape[1:]
    if rows * columns > MAX_BORDERED**2:  # a third of the bytes; what the server draws a moment later has every step
        cells = np.where(cells == 255, np.uint8(255), cells // COARSE * COARSE)
    small = (rows, columns) == (len(queries), len(keys))  # a row of the map is a token
    header = {
        "layers": attention.num_layers,
        "layer": layer,
        "heads": len(cells),
        "rows": rows,
        "columns": columns,
        "heading": say("heads.one", layer="{layer}", head="{head}"),
        "layerNames": list(attention.layer_index),  # in a hybrid, the layers in between have no attention
        # As in the picture of all heads.
        "whole": [len(queries), len(keys)] == [len(attention.queries), len(attention.keys)],
        "thumb": THUMBNAIL_PIXELS,
        "step": THUMBNAIL_PIXELS + THUMBNAIL_GAP,
        "stack": query_stack(attention.kind),
        "places": [queries, keys] if small else [[], []],
        "names": [[attention.queries.name(i) for i in queries], [attention.keys.name(i) for i in keys]]
        if small
        else [[], []],
        "next": readings.next_tokens(trace, attention, queries) if small else None,
        "reading": readings.row_templates(),
    }
    text = json.dumps(header).encode()
    colours = rgba_colours(np.linspace(0, 1, 255), palette.sequential).tobytes() + bytes(4)
    return struct.pack("<I", len(text)) + text + zlib.compress(colours + cells.tobytes())
