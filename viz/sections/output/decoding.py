"""What the Output page shows: the decoding method, the run that it makes, and the head that is watched."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.maps.words import join_silence
from model.trace.decoding import METHODS, Decoding, DecodingResult
from model.trace.trace import Target, Trace
from viz.frame import model_access, session
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.widgets import pickers

FORCED = "forced"


def pick_decoding() -> tuple[Decoding | None, str]:
    """The decoding method and its parameters, chosen by widgets; or None, and the output that the user typed."""
    method = option_row(
        say("output.method"),
        [*METHODS, FORCED],
        METHODS[0],
        "method",
        help="\n\n".join(say(f"output.{name}_why") for name in (*METHODS, FORCED)),
    )
    if method == FORCED:
        label = say("output.forced")
        typed = st.text_input(
            label, key="forced_output", bind="query-params", placeholder=label, label_visibility="collapsed", width=300
        )
        return None, typed
    decoding = Decoding(method)
    with st.popover(say("output.settings"), icon=":material/tune:", key="decoding_settings"):
        most = 60 if model_access.open_model().is_encoder_decoder else 20
        longest = st.number_input(say("output.longest"), 1, 100, most, key="longest", bind="query-params")
        if method == "sample":
            temperature = st.slider(say("output.temperature"), 0.1, 3.0, 1.0, 0.1, key="t", bind="query-params")
            top_k = st.number_input(say("output.top_k"), 0, 1000, 0, key="top_k", bind="query-params")
            top_p = st.slider(say("output.top_p"), 0.05, 1.0, 1.0, 0.05, key="top_p", bind="query-params")
            seed = st.number_input(say("output.seed"), 0, 10_000, 0, key="seed", bind="query-params")
            decoding = replace(decoding, temperature=temperature, top_k=int(top_k), top_p=top_p, seed=int(seed))
        if method == "beam":
            beams = st.slider(say("output.beams"), 1, 8, 4, key="beams", bind="query-params")
            decoding = replace(decoding, beams=beams)
    return replace(decoding, max_new_tokens=int(longest)), ""


def restore_old_links() -> None:
    """Follow links from when this page had a kind, a layer and a head of its own."""
    state, link = st.session_state, st.query_params
    for old, name in (("step_kind", "kind"), ("cross_layer", "layer"), ("cross_head", "head")):
        if old in link and old not in state:
            state[old] = link[old]
            state.setdefault(name, int(link[old]) if link[old].isdecimal() else link[old])


def pick_head(trace: Trace) -> pickers.SelectedHead:
    """The head whose looks are shown, chosen by widgets; none of the encoder, which reads and writes nothing."""
    asking = {kind: one for kind, one in trace.attentions.items() if kind != "encoder"}  # of tokens that are written
    if st.session_state.get("kind", "") not in asking:
        st.session_state.pop("kind", None)
    return _joined(pickers.head_stepper(replace(trace, attentions=asking)))


def head_of(trace: Trace, seen: pickers.SelectedHead) -> pickers.SelectedHead:
    """The same head in another run."""
    return _joined(replace(seen, attention=trace.attentions[seen.attention.kind]))


def _joined(seen: pickers.SelectedHead) -> pickers.SelectedHead:
    """The same head with the silence behind a sound as one token."""
    return replace(seen, attention=join_silence(seen.attention))


def generated_trace(shared: Trace, decoding: Decoding | None, forced: str) -> tuple[Trace, DecodingResult | None]:
    """The trace of the generated or typed output, and the result of decoding; None where the user wrote the output.

    Args:
        shared: the run that other pages show; returned itself where its output has the same tokens.
        forced: the typed output.

    Raises:
        Halt: nothing was typed, and the page asks for it.
    """
    decoded = None
    if decoding is None:
        if not forced.strip():
            st.info(say("output.type_it"), icon=":material/edit:")
            raise session.Halt
        spaced = model_access.open_model().is_encoder_decoder or forced[:1].isspace()
        target: Target = forced if spaced else f" {forced}"
    else:
        decoded = results.decode(model_access.model_input(), decoding)
        target = decoded.ids
        if target == shared.ids["decoder"][shared.prompt_length :]:
            return shared, decoded
    trace = results.traces((model_access.model_input(),), (target,), edits=model_access.applied_edits())[0]
    return (shared if trace.ids == shared.ids else trace), decoded


def other_run(shared: Trace, trace: Trace) -> DeltaGenerator | None:
    """Say where the page's run is not the one that other pages show, and offer to make it so; room for its badge."""
    if trace is shared:
        return None
    with st.container(horizontal=True, key="other_run", vertical_alignment="center"):
        own = say("output.other_run" if model_access.open_model().is_encoder_decoder else "output.other_text")
        st.markdown(f":orange[:material/info:] {own}", width="content")
        taken = (trace.text, trace.output or "", model_access.open_model().is_encoder_decoder)
        st.button(say("output.take_over"), key="take_over", on_click=_take_over, args=taken)
        return st.container(width="content")


def _take_over(text: str, output: str, is_forced: bool) -> None:
    """Make the output of this page that of all pages; a callback.

    Args:
        is_forced: whether the output is given beside the text, as that of an encoder-decoder model.
    """
    state = st.session_state
    state.method = METHODS[0]
    if is_forced:
        state.whose, state.target, state.method, state.forced_output = session.FORCED, output, FORCED, output
    else:
        state.text = text + ("" if output[:1].isspace() else " ") + output
