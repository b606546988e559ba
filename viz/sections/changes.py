"""The sections of the Changes page: the output before and after edits, and the effect of silencing each head."""

from __future__ import annotations

import streamlit as st

from model.measures.probabilities import kl_divergence_bits, most_probable, probabilities
from model.trace.trace import Trace
from viz.figures import changes as figures
from viz.figures.theme import Palette
from viz.frame import model_access, results
from viz.language.messages import escape_markdown, say
from viz.widgets import charts, pickers

NUM_CANDIDATES = 8  # likeliest tokens drawn


def output_change(before: Trace, after: Trace, palette: Palette) -> None:
    """Draw both outputs, and the KL divergence and probabilities at each position of the unedited model's output.

    Args:
        before: trace without edits; after: with edits.
    """
    if before.output is not None:
        left, right = st.columns(2)
        for column, name, one in ((left, "before", before), (right, "after", after)):
            with column.container(border=True):
                st.caption(say(f"changes.{name}"))
                st.markdown(f"**{escape_markdown(one.output or say('changes.empty'))}**")
    if before.logits is None:
        st.info(say("changes.no_words"), icon=":material/info:")
        return
    stack = list(before.tokens)[-1]
    comparable = after  # a trace with edits on the same tokens
    if before.ids[stack] != after.ids[stack]:
        # Only equal token sequences can be compared position by position: the edited model is fed the old output.
        comparable = results.traces((before.text,), (before.ids[stack][before.prompt_length :],), edits=after.edits)[0]
        st.caption(say("changes.fed_same"))
    assert comparable.logits is not None
    tokens = before.tokens[stack]
    if len(before.logits) < len(tokens):  # one prediction for the whole input, as for a picture
        row, bits = 0, kl_divergence_bits(before.logits, comparable.logits)
        _candidates(before, comparable, row, say("changes.whole"), bits[row], palette)
        return
    bits = kl_divergence_bits(before.logits, comparable.logits)
    labels = [tokens.name(i) for i in range(len(tokens))]
    charts.chart_with_menu(figures.divergence_bars(bits, labels, palette), "divergence", say("changes.divergence_look"))
    row = pickers.pick_token(tokens, say("changes.pick"), f"changed_{stack}", start=int(bits.argmax()))
    _candidates(before, comparable, row, escape_markdown(tokens.name(row)), bits[row], palette)


def _candidates(before: Trace, after: Trace, row: int, behind: str, bits: float, palette: Palette) -> None:
    """Draw the likeliest tokens at one position, before and after the edits. behind: name of the token there"""
    assert before.logits is not None
    assert after.logits is not None
    p, q = probabilities(before.logits[row]), probabilities(after.logits[row])
    best = most_probable(p + q, NUM_CANDIDATES)
    labels = model_access.open_model().labels(best.tolist())
    figure = figures.candidate_bars(p[best], q[best], labels, palette, say("changes.candidates_title"))
    charts.chart_with_menu(figure, "candidates", say("changes.candidates_look", token=behind, bits=f"{bits:.3f}"))


def head_effects(trace: Trace, palette: Palette) -> None:
    """Draw how much the output changes when each head is silenced; see `results.head_effects`."""
    stack = list(trace.tokens)[-1]
    forced = trace.ids[stack][trace.prompt_length :] if stack == "decoder" else None
    if not model_access.open_model().heads:
        st.info(say("change.no_edits"), icon=":material/info:")
        return
    measured = results.head_effects(trace, forced, ask=say("changes.run"))
    if measured is None:
        return
    effects, in_bits = measured
    unit = say("changes.bits" if in_bits else "changes.turned")
    figure = figures.head_effect_bars(effects, unit, palette)
    charts.chart_with_menu(figure, "ranked", say("changes.ranked_look"), on_select=_select_clicked_head)
    for kind, values in effects.items():
        charts.chart_with_menu(
            figures.head_effect_heatmap(values, kind, unit, palette), f"effects_{kind}", say("changes.map_look")
        )
    st.caption(say("changes.take_over"))


def _select_clicked_head() -> None:
    """Select the head whose bar was clicked, on every page; a callback."""
    points = st.session_state.ranked.selection.points
    if points:
        st.session_state.kind, st.session_state.layer, st.session_state.head = points[0]["customdata"]
