"""What the Changes page shows: the output before and after edits, and the effect of silencing each head."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from model.measures.probabilities import kl_divergence_bits, most_probable, probabilities
from model.trace.check import Probe
from model.trace.trace import Trace
from viz.figures import changes as figures
from viz.figures.theme import Palette
from viz.frame import model_access, session
from viz.frame.shown_run import results
from viz.language.messages import escape_markdown, say
from viz.sections.decomposition import effects as direct
from viz.widgets import charts, page_check, pickers
from viz.widgets.menus import save_menu

NUM_CANDIDATES = 8  # likeliest tokens drawn


def silence_button(selected: pickers.SelectedHead) -> None:
    """Draw the button that silences the chosen head, or lets it speak again; none where no head can be changed."""
    if not model_access.open_model().heads:
        return
    place = (selected.attention.kind, selected.attention.layer_index[selected.layer], selected.head)
    silent = model_access.applied_edits().heads.get(place) == 0
    st.button(
        say("changes.unsilence" if silent else "changes.silence"),
        key="silence",
        icon=f":material/{'volume_up' if silent else 'volume_off'}:",
        type="secondary" if silent else "primary",
        on_click=_toggle_silence,
        args=(place,),
    )


def _toggle_silence(place: tuple[str, int, int]) -> None:
    """Silence a head, or undo that; a callback."""
    edits = model_access.applied_edits()
    silent = edits.heads.get(place) == 0
    session.set_edits(edits.without("heads", place) if silent else replace(edits, heads={**edits.heads, place: 0.0}))


def output_change(before: Trace, after: Trace, palette: Palette) -> None:
    """Draw both outputs, and the KL divergence and probabilities at each position of the unedited model's output.

    Args:
        before: trace without edits; after: with edits.
    """
    if before.output is not None:
        old, new = (escape_markdown(one.output or say("changes.empty")) for one in (before, after))
        said = say("changes.same" if old == new else "changes.outputs", before=old, after=new)
        st.markdown(said)
        save_menu.note_ahead("candidates", said)
    if before.logits is None:
        st.info(say("changes.no_words"), icon=":material/info:")
        return
    stack = list(before.tokens)[-1]
    comparable = after  # a trace with edits on the same tokens
    if before.ids[stack] != after.ids[stack]:
        # Only equal token sequences can be compared position by position: the edited model is fed the old output.
        outputs = (before.ids[stack][before.prompt_length :],)
        comparable = results.traces((model_access.model_input(),), outputs, edits=after.edits)[0]
    assert comparable.logits is not None
    tokens = before.tokens[stack]
    bits = kl_divergence_bits(before.logits, comparable.logits)
    if len(before.logits) < len(tokens):  # of the whole input, as for a picture: one answer, or one for each digit
        row, count = int(bits.argmax()), len(bits)
        words = {"row": row, "count": count, "bits": f"{bits[row]:.3f}"}
        caption = say("changes.one_answer" if count == 1 else "changes.an_answer", **words)
        _candidates(before, comparable, row, say("changes.answers_title"), caption, palette)
        return
    end = "_here" if stack == "encoder" else ""  # an encoder predicts what stands at a token, a decoder what follows it
    key = f"changed_{stack}"
    row = pickers.pick_token(tokens, say(f"changes.pick{end}"), key, start=int(bits.argmax()))
    left, right = st.columns([7, 5], gap="small")
    with right:
        behind = escape_markdown(tokens.name(row))
        caption = say(f"changes.candidates_look{end}", token=behind, bits=f"{bits[row]:.3f}")
        _candidates(before, comparable, row, say(f"changes.candidates_title{end}"), caption, palette)
    with left:
        names = [tokens.name(i) for i in range(len(tokens))]
        figure = figures.divergence_bars(bits, tokens.texts, names, row, stack, palette)
        caption = say(f"changes.divergence_look{end}")
        caption += "" if comparable is after else " " + say("changes.fed_same")
        charts.chart_with_menu(figure, "divergence", caption, on_select=partial(_pick_bar, key))


def _pick_bar(key: str) -> None:
    """Show the predictions behind the token whose bar was clicked; a callback."""
    if points := st.session_state.divergence.selection.points:
        st.session_state[key] = int(points[0]["x"])


def _candidates(before: Trace, after: Trace, row: int, title: str, caption: str, palette: Palette) -> None:
    """Draw the likeliest tokens, or answers, in one row of the logits, before and after the edits."""
    assert before.logits is not None
    assert after.logits is not None
    p, q = probabilities(before.logits[row]), probabilities(after.logits[row])
    best = most_probable(p + q, NUM_CANDIDATES)
    labels = model_access.open_model().labels(best.tolist())
    charts.chart_with_menu(figures.candidate_bars(p[best], q[best], labels, palette, title), "candidates", caption)


def head_effects(trace: Trace, palette: Palette) -> None:
    """Draw how much the output changes when each head is silenced; see `results.head_effects`."""
    st.header(say("changes.matter"), anchor=False, help=say("changes.matter_why") + "\n\n" + say("changes.take_over"))
    stack = list(trace.tokens)[-1]
    forced = trace.ids[stack][trace.prompt_length :] if stack == "decoder" else None
    if not model_access.open_model().heads:
        st.info(say("change.no_edits"), icon=":material/info:")
        return
    measured = results.head_effects(trace, forced, ask=say("changes.run"))
    if measured is None:
        return
    effects, in_bits = measured
    page_check.claim(trace, "effects", Probe(effects=effects, in_bits=in_bits))
    unit = say("changes.bits" if in_bits else "changes.turned")
    layers = {kind: attention.layer_index for kind, attention in trace.attentions.items()}
    left, right = st.columns([5, 7], gap="small")
    with left:
        figure = figures.head_effect_bars(effects, unit, palette, layers=layers)
        charts.chart_with_menu(figure, "ranked", say("changes.ranked_look"), on_select=_select_clicked_head)
    maps = figures.head_effect_heatmaps(effects, unit, palette, layers)
    with right:
        for column, (kind, figure) in zip(st.columns(len(maps), gap="small"), maps.items(), strict=True):
            with column:
                charts.chart_with_menu(figure, f"effects_{kind}", say("changes.map_look", unit=unit))
    direct.draw(trace, effects, unit, palette)


def _select_clicked_head() -> None:
    """Select the head whose bar was clicked, on every page; a callback."""
    points = st.session_state.ranked.selection.points
    if points:
        st.session_state.kind, st.session_state.layer, st.session_state.head = points[0]["customdata"]
