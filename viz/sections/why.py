"""The section of the Why page: steps, path lengths and times of a recurrent network and of attention."""

from __future__ import annotations

import streamlit as st

from model.turns import Turns
from viz.figures import recurrence as figures
from viz.figures.theme import Palette
from viz.language.messages import say
from viz.widgets import charts

_benchmark_turns = Turns()  # two benchmarks at once would slow each other down


def recurrence_benchmark(palette: Palette) -> None:
    """Run the benchmark on a click, and draw steps, path lengths and times by text length."""
    from model.measures.recurrence import LENGTHS, NAMES, time_layers

    state = st.session_state
    label = say("why.again" if "readings" in state else "why.measure")
    if st.button(label, key="measure", type="primary", icon=":material/timer:"):
        bar, readings = st.progress(0.0, say("why.measuring")), []
        with _benchmark_turns.held():
            for reading in time_layers():
                readings.append(reading)
                bar.progress(len(readings) / len(LENGTHS) / len(NAMES), say("why.measuring"))
        state.readings = readings
        bar.empty()
    if "readings" not in state:
        return
    readings = state.readings
    left, right = st.columns(2)
    with left:
        charts.chart_with_menu(figures.step_count_curves(readings, palette), "counts", say("why.counts_look"))
    with right:
        charts.chart_with_menu(figures.time_curves(readings, palette), "times", say("why.times_look"))
    last = {one.name: one for one in readings}
    values = {name: f"{1000 * one.seconds:.1f}" for name, one in last.items()}
    ratio = last["rnn"].seconds / last["attention"].seconds
    charts.noted_markdown(say("why.reading", length=last["rnn"].length, ratio=f"{ratio:.1f}", **values), "times")
