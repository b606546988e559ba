"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.words import merge_words
from viz import parts, session, tables, words
from viz.figures.heads import head_heatmap, head_mosaic, token_lines
from viz.text import say


def open_clicked() -> None:
    """Open the head whose thumbnail was clicked."""
    points = st.session_state.mosaic.selection.points
    if points:
        st.session_state.layer, st.session_state.head = (int(i) for i in points[0]["customdata"][:2])


parts.heading("heads")
trace = session.trace()
parts.sentence(trace)
view = parts.pick_head(trace)
attention, layer, head = view.attention, view.layer, view.head
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    attention = merge_words(attention)
palette = session.palette()

mosaic = head_mosaic(attention, palette, selected=(layer, head))
parts.draw(mosaic, "mosaic", say("heads.mosaic_look"), on_select=open_clicked)

st.header(say("heads.one", layer=layer, head=head), anchor=False)
row = parts.pick_token(attention.queries, say(f"kinds.{attention.kind}_row"), f"row_{attention.kind}", start=1)
parts.aloud(words.row_reading(trace, attention, layer, head, row))
parts.over_picture(trace, attention, layer, head, row)
specials = not st.toggle(say("heads.hide"), key="hide", help=say("heads.hide_help"), bind="query-params")
if not specials:
    st.caption(words.hidden_specials(attention, layer, head))
left, right = st.columns([3, 2])
with left:
    heatmap = head_heatmap(attention, layer, head, palette, specials=specials, row=row)
    parts.draw(heatmap, "heatmap", words.map_look(attention, specials, row))
    parts.badge(trace, "heads")
with right:
    parts.draw(
        token_lines(attention, layer, head, palette, specials=specials, row=row), "lines", say("heads.lines_look")
    )
with st.expander(say("heads.table")):
    st.dataframe(
        tables.row_table(attention, layer, head, row),
        hide_index=True,
        column_config={
            say("table.weight"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
            say("table.score"): st.column_config.NumberColumn(format="%.3f"),
        },
    )
