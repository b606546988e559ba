"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.words import merge_words
from viz import export, flip, parts, runs, session, words
from viz.figures.heads import head_heatmap, token_lines
from viz.text import say


def open_clicked() -> None:
    """Open the head whose thumbnail was clicked."""
    points = st.session_state.mosaic.selection.points
    tile = points[0]["customdata"][:2] if points else st.session_state.get("tile")
    if tile:  # a second click on the same thumbnail only ends its selection
        st.session_state.tile = tile
        st.session_state.layer, st.session_state.head = (int(i) for i in tile)


parts.heading("heads")
trace = session.trace()
parts.sentence(trace)
view = parts.pick_head(trace)
attention, layer, head = view.attention, view.layer, view.head
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    attention = merge_words(attention)
palette = session.palette()

mosaic, look = runs.mosaic(trace, attention, palette), say("heads.mosaic_look")
parts.draw(mosaic, "mosaic", look, on_select=open_clicked, table=export.cells(attention))
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
    parts.badge(trace, "heads")
with right:
    lines = token_lines(attention, layer, head, palette, specials=specials, row=row, window=window)
    parts.draw(lines, "lines", say("heads.lines_look"), table=export.cells(attention, layer, head))
parts.row_table(attention, layer, head, row)
