"""What changes: what each head adds to a word directly, beside what silencing it changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from model.errors import InputError
from model.trace.trace import Trace
from viz.figures import decomposition as figures
from viz.figures.theme import Palette
from viz.frame import links, model_access
from viz.frame.shown_run import decompositions
from viz.language.messages import say
from viz.widgets import charts


def draw(trace: Trace, effects: Mapping[str, np.ndarray], unit: str, palette: Palette) -> None:
    """A point for each head: its credit for one written word, and the effect of silencing it.

    Args:
        effects: kind -> [layer, head]; unit: of them.
    """
    written = trace.ids.get("decoder", ())[trace.prompt_length :]
    if trace.logits is None or not written:
        return
    part = st.expander(say("changes.direct"), key="direct", bind="query-params")
    if not part.open:
        return
    labels = model_access.open_model().labels(written, together=True)
    links.restore("direct_word", range(len(written)))
    with part:
        place = st.selectbox(
            say("changes.direct_word"),
            range(len(written)),
            key="direct_word",
            format_func=labels.__getitem__,
            width=260,
        )
        links.store("direct_word", place, 0)
        row = trace.prompt_length - 1 + place
        against = next(int(one) for one in np.argsort(-trace.logits[row])[:2] if one != written[place])
        try:
            credit = decompositions.credit(trace, row, written[place], against)
        except InputError as error:
            st.info(say(f"errors.{error.reason}"), icon=":material/info:")
            return
        heads = figures.head_places(trace, credit)
        parts = {
            heads[one]: float(value) for one, value in zip(credit.sources, credit.parts, strict=True) if one in heads
        }
        other = model_access.open_model().labels([against])[0]
        figure = figures.effect_scatter(parts, effects, (labels[place], other), unit, palette)
        charts.chart_with_menu(figure, "direct_heads", say("changes.direct_look"), on_select=_select_clicked_head)


def _select_clicked_head() -> None:
    """Select the head whose point was clicked, on every page; a callback."""
    if points := st.session_state.direct_heads.selection.points:
        st.session_state.kind, st.session_state.layer, st.session_state.head = points[0]["customdata"]
