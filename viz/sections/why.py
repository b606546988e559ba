"""The measurement of the page that asks why attention."""

from __future__ import annotations

import threading

import streamlit as st

from viz.figures import recurrence as figures
from viz.figures.theme import Palette
from viz.language.messages import say
from viz.widgets import charts

_alone = threading.Lock()


def measured(palette: Palette) -> None:
    """Measure when asked, and show steps, path and time against the length of the text."""
    from model.measures.recurrence import LENGTHS, NAMES, measure

    state = st.session_state
    label = say("why.again" if "readings" in state else "why.measure")
    if st.button(label, key="measure", type="primary", icon=":material/timer:"):
        bar, readings = st.progress(0.0, say("why.measuring")), []
        with _alone:  # two at once would slow each other down
            for reading in measure():
                readings.append(reading)
                bar.progress(len(readings) / len(LENGTHS) / len(NAMES), say("why.measuring"))
        state.readings = readings
        bar.empty()
    if "readings" not in state:
        return
    readings = state.readings
    left, right = st.columns(2)
    with left:
        charts.draw(figures.counts(readings, palette), "counts", say("why.counts_look"))
    with right:
        charts.draw(figures.times(readings, palette), "times", say("why.times_look"))
    last = {one.name: one for one in readings}
    values = {name: f"{1000 * one.seconds:.1f}" for name, one in last.items()}
    ratio = last["rnn"].seconds / last["attention"].seconds
    st.markdown(say("why.reading", length=last["rnn"].length, ratio=f"{ratio:.1f}", **values))
