"""What was measured over many sentences: all heads by one measure, one head sentence by sentence, heads ranked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from model.lab.measurement import Measurement
from viz.figures import lab as figures
from viz.figures.theme import Palette
from viz.frame import links, session
from viz.frame.option_row import option_row
from viz.language.messages import abbreviated, escape_markdown, has_message, say
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

LONGEST = 110  # letters of a sentence on the page


def choose(found: Measurement) -> tuple[str, str, int, int]:
    """Kind, measure, layer and head chosen in one row."""
    with st.container(horizontal=True, key="lab_choice", vertical_alignment="center"):
        kind = option_row(say("pick.kind"), list(found.kinds), found.kinds[0], "kind")
        shown = list(found.shown(kind))
        links.restore("lab_measure", shown)
        if st.session_state.get("lab_measure") not in shown:
            st.session_state.lab_measure = shown[0]
        measure = st.selectbox(
            say("lab.by"),
            shown,
            key="lab_measure",
            format_func=measure_name,
            label_visibility="collapsed",
            width=330,
            persist_state="session",
        )
        links.store("lab_measure", measure, shown[0])
        means = found.mean[kind][found.measures.index(measure)]
        best = np.unravel_index(int(np.nanargmax(means)), means.shape)
        with st.container(horizontal=True, key="stepper", vertical_alignment="center", gap="small", width="content"):
            names = found.layer_index[kind]
            layer = pickers.pick_number("layer", means.shape[0], int(best[0]), ("Up", "Down"), names)
            head = pickers.pick_number("head", means.shape[1], int(best[1]), ("Left", "Right"))
    return kind, measure, layer, head


def draw(found: Measurement, palette: Palette) -> None:
    """All of it, beside each other."""
    kind, measure, layer, head = choose(found)
    at, names = found.measures.index(measure), found.layer_index[kind]
    mean, low, high = (part[kind][at] for part in (found.mean, found.low, found.high))
    unit = found.units[at]
    left, middle, right = st.columns([4, 5, 3], gap="small")
    with left, st.container(key="lab_tiles", gap=None):
        figure = figures.head_means(mean, (layer, head), measure_name(measure), unit, palette, names)
        charts.chart_with_menu(figure, "lab_heads", say("lab.means_look"), on_select=_take_tile, table=None)
    with middle, st.container(key="lab_head", gap=None):
        ends = float(low[layer, head]), float(mean[layer, head]), float(high[layer, head])
        title = say("lab.head_title", layer=names[layer], head=head, count=len(found.sentences))
        values = found.of(kind, measure)[:, layer, head]
        figure = figures.head_sentences(values, found.sentences, ends, title, unit, palette)
        charts.chart_with_menu(figure, "lab_points", say("lab.points_look"), on_select=_take_point)
    with right, st.container(key="lab_ranking", gap=None):
        figure = figures.ranked_heads(mean, low, high, (layer, head), unit, palette, names)
        charts.chart_with_menu(figure, "lab_ranked", say("lab.ranked_look"), on_select=_take_bar)
    _read(found, kind, measure, layer, head)


def measure_name(name: str) -> str:
    """What a measure measures, in the page's language."""
    return say(f"lab.measure_{name}")


def _read(found: Measurement, kind: str, measure: str, layer: int, head: int) -> None:
    """The head in words, and the sentences that show it most and least, each of which opens in Heads."""
    at = found.measures.index(measure)
    parts = (found.mean, found.low, found.high, found.baseline)
    mean, low, high, even = (figures.number(float(part[kind][at, layer, head]), found.units[at]) for part in parts)
    values = found.of(kind, measure)[:, layer, head]
    facts = {"layer": found.layer_index[kind][layer], "head": head, "mean": mean, "low": low, "high": high}
    count = int(found.counts[kind][at, layer, head])
    sentence = say("lab.reading" if low != "–" else "lab.reading_once", count=count, **facts)
    if even != "–":
        sentence += " " + say("lab.even", even=even)
    charts.announced_markdown(sentence)
    save_menu.register_note("lab_points", sentence)
    if count:
        places = {"highest": int(np.nanargmax(values)), "lowest": int(np.nanargmin(values))}
        picked = st.session_state.get("lab_sentence")
        if isinstance(picked, int) and 0 <= picked < len(values) and np.isfinite(values[picked]):
            places = {"picked": picked} | places
        with st.container(key="lab_links"):
            for name, place in places.items():
                value = figures.number(float(values[place]), found.units[at])
                _offer(name, found.sentences[place], value, (kind, layer, head))
    if found.left_out:
        reasons = Counter(one.reason if has_message(f"lab.left_{one.reason}") else "other" for one in found.left_out)
        told = ", ".join(say(f"lab.left_{reason}", count=number) for reason, number in reasons.items())
        charts.noted_caption(say("lab.left_out", count=len(found.left_out), parts=told), "lab_points")


def _offer(name: str, text: str, value: str, place: tuple[str, int, int]) -> None:
    """A button that opens a sentence in Heads. name: of its label; place: kind, layer and head"""
    said = {"value": value, "sentence": escape_markdown(abbreviated(text, LONGEST))}
    icon, about = ":material/open_in_new:", say("lab.open_help")
    label, given = say(f"lab.{name}", **said), (text, *place)
    st.button(label, key=f"lab_{name}", on_click=_open, args=given, icon=icon, type="tertiary", help=about)


def _open(text: str, kind: str, layer: int, head: int) -> None:
    """Ask for a sentence and a head on the page Heads, with the same model; a callback."""
    session.forget_text_choices()
    asked = {"page": "heads", "model": session.chosen_model(), "text": text, "head": (kind, layer, head)}
    st.session_state[session.REQUEST] = asked


def _take_tile() -> None:
    _take(st.session_state.lab_heads)


def _take_bar() -> None:
    _take(st.session_state.lab_ranked)


def _take(event: object) -> None:
    """Choose the head that was clicked; for callbacks."""
    points = [point for point in event.selection.points if "customdata" in point]  # type: ignore[attr-defined]
    if points:
        st.session_state.layer, st.session_state.head = (int(one) for one in points[0]["customdata"])


def _take_point() -> None:
    """Choose the sentence whose point was clicked; a callback."""
    if points := st.session_state.lab_points.selection.points:
        chosen = points[0]["customdata"]
        st.session_state.lab_sentence = int(chosen[0] if isinstance(chosen, (list, tuple)) else chosen)
