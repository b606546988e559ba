"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.trace import Attention, Trace
from model.words import merge_words
from viz import export, flip, parts, runs, session, words
from viz.alone import alone
from viz.figures.heads import head_heatmap, token_lines
from viz.text import say


def open_clicked() -> None:
    """Open the head whose thumbnail was clicked."""
    points = st.session_state.mosaic.selection.points
    tile = points[0]["customdata"][:2] if points else st.session_state.get("tile")
    if tile:  # a second click on the same thumbnail only ends its selection
        st.session_state.tile = tile
        st.session_state.layer, st.session_state.head = (int(i) for i in tile)


@alone
def one_head(trace: Trace, attention: Attention) -> None:
    """One head: the whole map, one row of it, and the check of its numbers."""
    palette = session.palette()
    layer, head = parts.pick_place(trace, attention, *st.columns([2, 4], gap="medium"))
    parts.box_tile(attention, layer, head)
    st.header(say("heads.one", layer=layer, head=head), anchor=False)
    row = parts.pick_token(attention.queries, say(f"kinds.{attention.kind}_row"), f"row_{attention.kind}", start=1)
    parts.aloud(words.row_reading(trace, attention, layer, head, row))
    parts.over_picture(trace, attention, layer, head, row)
    specials = not st.toggle(say("heads.hide"), key="hide", help=say("heads.hide_help"), bind="query-params")
    if not specials:
        st.caption(words.hidden_specials(attention, layer, head))
    if st.toggle(say("flip.toggle"), key="flipping", bind="query-params"):
        flip.draw(attention, layer, palette)
    window = parts.pick_window(attention)
    left, right = st.columns([3, 2])
    with left:
        heatmap = head_heatmap(attention, layer, head, palette, specials=specials, row=row, window=window)
        look = words.map_look(attention, specials, row)
        parts.draw(heatmap, "heatmap", look, table=export.cells(attention, layer, head))
        below = st.container()
    with right:
        lines = token_lines(attention, layer, head, palette, specials=specials, row=row, window=window)
        parts.draw(lines, "lines", say("heads.lines_look"), table=export.cells(attention, layer, head))
    with below:
        parts.badge(trace, "heads")  # once all is drawn: it runs the model a second time
    parts.row_table(attention, layer, head, row)


parts.heading("heads")
trace = session.trace()
parts.sentence(trace)
chosen = parts.pick_kind(trace)
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    chosen = merge_words(chosen)
mosaic = runs.mosaic(trace, chosen, session.palette())
parts.draw(mosaic, "mosaic", say("heads.mosaic_look"), on_select=open_clicked, table=export.cells(chosen))
one_head(trace, chosen)
