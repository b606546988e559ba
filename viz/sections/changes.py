"""The sections of the page that shows what a change does."""

from __future__ import annotations

import streamlit as st

from model.measures.probabilities import divergence_bits, likeliest, probabilities
from model.trace.trace import Trace
from viz.figures import changes as figures
from viz.figures.theme import Palette
from viz.frame import results, session
from viz.language.messages import plain, say
from viz.widgets import charts, pickers

SHOWN = 8  # likeliest tokens drawn


def before_and_after(before: Trace, after: Trace, palette: Palette) -> None:
    """Outputs beside each other; probabilities and divergence on the output of the unchanged model."""
    if before.output is not None:
        left, right = st.columns(2)
        for column, name, one in ((left, "before", before), (right, "after", after)):
            with column.container(border=True):
                st.caption(say(f"changes.{name}"))
                st.markdown(f"**{plain(one.output or say('changes.empty'))}**")
    if before.logits is None:
        st.info(say("changes.no_words"), icon=":material/info:")
        return
    stack = list(before.tokens)[-1]
    same = after
    if before.ids[stack] != after.ids[stack]:
        # Position by position only the same text can be compared: the changed model is fed the old output.
        same = session.batch((before.text,), (before.ids[stack][before.given :],), edits=after.edits)[0]
        st.caption(say("changes.fed_same"))
    assert same.logits is not None
    tokens = before.tokens[stack]
    if len(before.logits) < len(tokens):  # one answer for the whole, as for a picture
        row, bits = 0, divergence_bits(before.logits, same.logits)
        _candidates(before, same, row, say("changes.whole"), bits[row], palette)
        return
    bits = divergence_bits(before.logits, same.logits)
    labels = [tokens.name(i) for i in range(len(tokens))]
    charts.draw(figures.divergence(bits, labels, palette), "divergence", say("changes.divergence_look"))
    row = pickers.pick_token(tokens, say("changes.pick"), f"changed_{stack}", start=int(bits.argmax()))
    _candidates(before, same, row, plain(tokens.name(row)), bits[row], palette)


def _candidates(before: Trace, after: Trace, row: int, behind: str, bits: float, palette: Palette) -> None:
    """The likeliest answers in one place, before and after."""
    assert before.logits is not None
    assert after.logits is not None
    p, q = probabilities(before.logits[row]), probabilities(after.logits[row])
    best = likeliest(p + q, SHOWN)
    labels = session.lens().labels(best.tolist())
    drawn = figures.candidates(p[best], q[best], labels, palette, say("changes.candidates_title"))
    charts.draw(drawn, "candidates", say("changes.candidates_look", token=behind, bits=f"{bits:.3f}"))


def which_heads(trace: Trace, palette: Palette) -> None:
    """Each head silenced in turn, on a click; with progress, and what was found stays for the same sentence."""
    stack = list(trace.tokens)[-1]
    forced = trace.ids[stack][trace.given :] if stack == "decoder" else None
    if not session.lens().heads:
        st.info(say("change.no_edits"), icon=":material/info:")
        return
    found = results.head_effects(trace, forced, ask=say("changes.run"))
    if found is None:
        return
    effects, are_words = found
    unit = say("changes.bits" if are_words else "changes.turned")
    drawn = figures.ranked_heads(effects, unit, palette)
    charts.draw(drawn, "ranked", say("changes.ranked_look"), on_select=_open)
    for kind, values in effects.items():
        charts.draw(figures.effect_map(values, kind, unit, palette), f"effects_{kind}", say("changes.map_look"))
    st.caption(say("changes.take_over"))


def _open() -> None:
    """Look at the head whose bar was clicked, on every page."""
    points = st.session_state.ranked.selection.points
    if points:
        st.session_state.kind, st.session_state.layer, st.session_state.head = points[0]["customdata"]
