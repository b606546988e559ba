"""Output: which heads and feed-forward layers wrote the token of a step."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.errors import InputError
from model.trace.boxes.decomposition import Credit
from model.trace.trace import Trace
from viz.figures import decomposition as figures
from viz.figures.theme import Palette
from viz.frame import links
from viz.frame.shown_run import decompositions
from viz.language.messages import escape_markdown, say
from viz.widgets import charts
from viz.widgets.menus import save_menu

AGAINST = "who_against"  # key of the widget


def leave() -> None:
    """Go to Heads if a head's bar was clicked; before anything is drawn."""
    if st.session_state.pop("who_leads_away", False):
        st.switch_page("viz/pages/heads.py", query_params={})


def draw(trace: Trace, row: int, token: int, others: Sequence[tuple[int, str]], label: str, palette: Palette) -> None:
    """Bars of what pushed the score of a token over that of another one, chosen from a list.

    Args:
        row: position after which the token stands; label: of the token.
        others: ids and labels of tokens that it is compared with, the likeliest first.
    """
    names = dict(others)
    if st.session_state.get(AGAINST) not in names:
        st.session_state.pop(AGAINST, None)
    links.restore(AGAINST, [*names])
    against = st.selectbox(say("output.who_against"), [*names], key=AGAINST, format_func=names.__getitem__, width=260)
    links.store(AGAINST, against, next(iter(names)))
    try:
        credit = decompositions.credit(trace, row, token, against)
    except InputError as error:
        st.info(say(f"errors.{error.reason}"), icon=":material/info:")
        return
    said = reading(credit, label, names[against])
    st.markdown(said)
    save_menu.note_ahead("who_bars", said)
    figure = figures.credit_bars(credit, figures.head_places(trace, credit), palette)
    look = say("output.who_look", error=f"{credit.error:.0e}")
    charts.chart(st, figure, "who_bars", look, on_select=_open_clicked_head, titled=False)
    save_menu.menu("who_bars")
    if st.session_state.get("who_leads_away") and not st.session_state.whole:
        st.rerun()


def reading(credit: Credit, token: str, other: str) -> str:
    """Sentence on the difference of two scores and the part that pushes most. token, other: labels"""
    (first,), _ = figures.strongest_parts(credit, 1)
    source = credit.sources[first]
    return say(
        "output.said_who",
        token=escape_markdown(token),
        other=escape_markdown(other),
        difference=f"{credit.logit:+.2f}",
        part=figures.source_name(source.kind, source.layer, head=source.head),
        share=f"{credit.parts[first]:+.2f}",
    )


def _open_clicked_head() -> None:
    """Select the head whose bar was clicked, and go to Heads; a callback."""
    points = st.session_state.who_bars.selection.points
    if points and points[0].get("customdata"):
        st.session_state.kind, st.session_state.layer, st.session_state.head = points[0]["customdata"]
        st.session_state.who_leads_away = True
