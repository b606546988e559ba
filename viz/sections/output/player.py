"""The steps of decoding, one at a time: the text so far, the likeliest next tokens, and what a head looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.measures.probabilities import most_probable, probabilities, sampling_probabilities
from model.trace.decoding import Decoding, DecodingResult
from model.trace.trace import Trace
from viz.figures import output as figures
from viz.figures.theme import Palette
from viz.frame import links, model_access
from viz.frame.fragments import page_fragment
from viz.language.messages import escape_markdown, isolate_rtl, say, strip_markdown
from viz.sections.decomposition import credit
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

NUM_CANDIDATES = 10  # likeliest tokens drawn for a step
PACE = 1.4  # seconds between two steps while they play
MAX_SHOWN = 60  # last tokens of the text so far


@dataclass(frozen=True)
class Places:
    """Containers of what differs from step to step."""

    text: DeltaGenerator
    candidates: DeltaGenerator
    looks: DeltaGenerator
    heads: DeltaGenerator | None
    who: DeltaGenerator | None


@page_fragment
def player(
    trace: Trace,
    decoding: Decoding | None,
    decoded: DecodingResult | None,
    seen: pickers.SelectedHead,
    palette: Palette,
) -> None:
    """Draw the steps of decoding, one at a time, with buttons that play them.

    Args:
        trace: on the whole output; decoded: None where the user wrote it.
        seen: the head whose looks are drawn.
    """
    state, last = st.session_state, len(trace.ids["decoder"]) - trace.prompt_length
    playing = bool(state.get("playing")) and last > 0
    with st.container(horizontal=True, key="player", vertical_alignment="center", gap="small"):
        name, icon = ("pause", "pause") if playing else ("play", "play_arrow")
        st.button(
            say(f"output.{name}"),
            key="play",
            icon=f":material/{icon}:",
            on_click=_play,
            args=(last,),
            type="primary",
            disabled=last == 0,
        )
        controls = st.container()
    text = st.container()
    left, right = st.columns([5, 7], gap="small")
    more = st.expander(say("output.every_head"), key="every_head", bind="query-params")
    who = st.expander(say("output.who"), key="who", bind="query-params")
    places = Places(
        text,
        left.container(),
        right.container(),
        more.container() if more.open else None,
        who.container() if who.open and not playing else None,
    )
    with controls:
        # A fragment has no widgets outside of itself, and who wrote a word is chosen and clicked outside of the row.
        step = _step if places.who else page_fragment(_step, run_every=PACE if playing else None)
        step(trace, decoding, decoded, seen, palette, places)
    for column, key in ((left, "step_candidates"), (right, "looks")):
        with column:
            save_menu.menu(key)


def _play(last: int) -> None:
    """Start the steps, again from the first where they have ended, or stop them; a callback."""
    state = st.session_state
    state.playing, state.stepped = not state.get("playing"), time.monotonic()
    if state.playing and state.get("step", 0) >= last:
        state.step = 0


def _go(by: int, last: int) -> None:
    """One step back or on; a callback."""
    st.session_state.step = min(max(st.session_state.get("step", 0) + by, 0), last)


def _step(
    trace: Trace,
    decoding: Decoding | None,
    decoded: DecodingResult | None,
    seen: pickers.SelectedHead,
    palette: Palette,
    places: Places,
) -> None:
    """Draw one decoding step: the text so far, the candidates, and what the last token looks at."""
    state, last = st.session_state, len(trace.ids["decoder"]) - trace.prompt_length
    links.restore("step", range(last + 1))
    state.step = min(state.get("step") or 0, last)
    if state.get("playing") and not state.whole and time.monotonic() - state.get("stepped", 0.0) > 0.7 * PACE:
        _go(1, last)
        state.stepped = time.monotonic()
    with st.container(horizontal=True, gap=None, vertical_alignment="center", key="decoding_steps"):
        for name, by, icon in (("back", -1, "skip_previous"), ("on", 1, "skip_next")):
            ends = state.step == (0 if by < 0 else last)
            label = f":material/{icon}:"
            help_text = say(f"output.step_{name}")
            st.button(label, key=f"token_{name}", on_click=_go, args=(by, last), disabled=ends, help=help_text)
        if last:
            label = say("output.step_pick")
            st.slider(label, 0, last, key="step", bind="query-params", label_visibility="collapsed", width=260)
    step, row = state.step, trace.prompt_length - 1 + state.step
    _candidates(trace, row, decoding, decoded, palette, places)
    attention = seen.attention
    figure = figures.look_bars(attention, seen.layer, seen.head, row, palette)
    token = escape_markdown(attention.queries.name(row))
    charts.chart(places.looks, figure, "looks", say("output.look_look", token=token))
    if places.heads:
        figure = figures.query_heatmap(attention, row, palette)
        charts.chart(places.heads, figure, "every_look", say("output.looks_look"))
    if step == last and state.get("playing"):
        state.playing = False
        if not state.whole:
            st.rerun()  # the button says "Play" again


def _candidates(
    trace: Trace,
    row: int,
    decoding: Decoding | None,
    decoded: DecodingResult | None,
    palette: Palette,
    places: Places,
) -> None:
    """Draw the text up to a position, and the likeliest tokens behind it, the one written lit."""
    ids, lens = trace.ids["decoder"], model_access.open_model()
    assert trace.logits is not None
    drawn = decoding is not None and decoding.method == "sample"
    if decoding is not None and drawn:
        how = (decoding.temperature, decoding.top_k, decoding.top_p)
        chances = sampling_probabilities(trace.logits[row], *how)
    else:
        chances = probabilities(trace.logits[row])
    best = most_probable(chances, NUM_CANDIDATES)
    written = ids[row + 1] if row + 1 < len(ids) else None
    if written is not None and written not in best:
        best = np.array([*best[:-1], written])
    chosen = None if written is None else int(np.flatnonzero(best == written)[0])
    if written is None and decoded is not None and decoded.ended and decoding is not None and not drawn:
        chosen = 0 if decoding.method == "greedy" else None  # the end mark, which is no part of the text
    title = say("output.candidates_title", step=row + 1 - trace.prompt_length)
    figure = figures.next_token_bars(chances[best], lens.labels(best.tolist()), chosen, palette, title)
    charts.chart(places.candidates, figure, "step_candidates", say(f"output.{'drawn' if drawn else 'candidates'}_look"))
    if places.who:
        token = int(best[0]) if written is None else written
        others = [int(one) for one in best if one != token]
        labels = lens.labels([token, *others])
        with places.who:
            credit.draw(trace, row, token, list(zip(others, labels[1:], strict=True)), labels[0], palette)
    if written is not None:
        label = lens.labels([written])[0]
        sentence = say("output.taken", token=escape_markdown(label), chance=f"{chances[written]:.1%}")
    else:
        sentence = say("output.whole_text" if decoded is None else "output.ended" if decoded.ended else "output.cut")
    places.text.html(_text_so_far(lens.labels(ids, together=True), row, sentence))
    st.session_state.said = strip_markdown(sentence)
    save_menu.register_note("step_candidates", sentence)


def _text_so_far(labels: tuple[str, ...], row: int, sentence: str) -> str:
    """The text up to a position and the token written behind it, as HTML. sentence: what happens there"""
    first = max(row + 1 - MAX_SHOWN, 0)
    words = ["…"] if first else []
    for place in range(first, min(row + 2, len(labels))):
        new = " new" if place == row + 1 else ""
        words.append(
            f'<span class="token{new}" tabindex="0" role="button" data-stack="decoder" data-place="{place}">'
            f"{escape(isolate_rtl(labels[place]))}</span>"
        )
    said = escape(strip_markdown(sentence))
    return f'<div class="tokens written">{"".join(words)}<span class="then">{said}</span></div>'
