"""Results of the chosen model, computed once and cached: traces, decoding, logit lens, head effects, library runs."""

from __future__ import annotations

from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from model.libraries import runner as libraries
from model.libraries.script import formula_inputs
from model.measures.heads.head_characters import Character, head_characters, published_aligners
from model.trace.attention import Attention
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.trace import Target, Trace
from model.trace.typed_text import ModelInput
from model.turns import Turns
from viz.figures.figure_parts import parts
from viz.figures.heads import head_mosaic
from viz.figures.linking import query_stack
from viz.figures.theme import Palette
from viz.frame import input_choices, model_access, server_state, session
from viz.frame.bars import kind_notice
from viz.frame.shown_run.all_heads import measured
from viz.frame.shown_run.input_errors import input_errors_shown
from viz.language import readings
from viz.language.messages import current_language, say

UNPROMPTED_WORK = 4_000  # heads × tokens up to which effects are computed without asking: about a second
ENTRY_BYTES = 500  # of an entry's key and objects, beside its arrays
_library_turns = Turns()  # one library at a time: two would share the cores


def trace() -> Trace:
    """The trace of the chosen model on the chosen input, with the chosen target and edits.

    Raises:
        Halt: there is none, and the page says why: no model, or an input that cannot be fed to it.
    """
    text, target = input_choices.bar_input(), model_access.forced_target()
    try:
        found = traces((text,), (target,), edits=model_access.applied_edits(warn=True))[0]
    except session.Halt as halt:
        if model_access.input_kind() == "text":  # what is too long here, or of another kind, another model may read
            with session.input_room():
                kind_notice.draw(str(st.session_state.text), halt)
        raise
    st.session_state.bar_run = found.serial
    return found


def is_long_wait() -> bool:
    """Whether the bar's text is long and its pass has yet to be made."""
    text = str(st.session_state.get("text", ""))
    if model_access.input_kind() != "text" or len(text) <= server_state.SHORT_TEXT:
        return False
    model = model_access.model_if_open()
    if model is None:
        return True
    name, device, typed = session.chosen_model(), st.session_state.device, session.typed_text(text, model.choices)
    targets, edits = (model_access.forced_target(),), model_access.applied_edits()
    return server_state.shown_traces(name, device, (typed,), targets, edits) is None


def output_without_edits(trace: Trace) -> str | None:
    """What the model makes of the same input unchanged; None where a run has no edits, or is not the bar's.

    Args:
        trace: a run that the page shows.
    """
    if not trace.edits or trace.serial != st.session_state.get("bar_run"):
        return None
    text, target = model_access.model_input(), model_access.forced_target()
    how = session.chosen_model(), st.session_state.device
    with st.spinner(say("sidebar.running"), show_time=True):
        return server_state.cached_traces(*how, (text,), (target,), Edits())[0].output


def unedited_trace() -> Trace:
    """The trace that `trace` returns, without the edits."""
    return traces((input_choices.bar_input(),), (model_access.forced_target(),))[0]


def traces(
    texts: tuple[ModelInput, ...],
    targets: tuple[Target, ...],
    box: str = "text",
    edits: Edits | None = None,
    name: str | None = None,
) -> tuple[Trace, ...]:
    """The traces of a batch of inputs.

    Args:
        texts: texts, or pictures as paths or bytes.
        targets: forced output of each input, None for the model's own.
        box: prefix of the error messages, which names the widget an invalid text was typed into.
        edits: changes applied during the pass; none by default.
        name: id of the model; the chosen one by default.

    Raises:
        Halt: an input cannot be fed to the model, and the page says why.
    """
    name = name or session.chosen_model()
    dtype = model_access.open_model(name).dtype
    with input_errors_shown(box), st.spinner(say("sidebar.running"), show_time=True):
        batch = server_state.cached_traces(name, st.session_state.device, texts, targets, edits or Edits())
    # A handout lists the runs of its page.
    st.session_state.ran += [(name, dtype, trace) for trace in batch]
    return batch


def _bytes(*arrays: object) -> int:
    """The size of a cached result: that of its arrays, and of what is around them."""
    return ENTRY_BYTES + sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _decode(name: str, device: str, text: ModelInput, how: Decoding, edits: Edits) -> DecodingResult:
    def make() -> DecodingResult:
        with server_state.working_model(name, device, text) as model:
            return model.decode(text, how, edits)

    key = ("decode", name, device, text, how, edits.text())
    return server_state.result_cache().get(
        key, make, lambda found: ENTRY_BYTES + 40 * len(found.ids) + 300 * len(found.tree)
    )


def decode(text: ModelInput, how: Decoding) -> DecodingResult:
    """The tokens that the chosen model generates for a text, with the chosen edits, and a beam search's tree.

    Raises:
        Halt: the text cannot be fed to the model, and the page says why.
    """
    model_access.open_model()
    with input_errors_shown(), st.spinner(say("sidebar.running"), show_time=True):
        return _decode(session.chosen_model(), st.session_state.device, text, how, model_access.applied_edits())


def _logit_lens(
    name: str, device: str, text: ModelInput, target: Target, edits: Edits
) -> tuple[np.ndarray, np.ndarray] | None:
    def make() -> tuple[np.ndarray, np.ndarray] | None:
        with server_state.working_model(name, device, text) as model:
            return model.logit_lens(text, target, edits)

    key = ("logit_lens", name, device, text, target, edits.text())
    return server_state.result_cache().get(key, make, lambda found: _bytes(*found or ()))


def logit_lens(text: ModelInput, target: Target) -> tuple[np.ndarray, np.ndarray] | None:
    """Ids and probabilities of the likeliest token by layer, [layer + 1, token] each; None without an output head.

    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020).
    """
    with input_errors_shown(), st.spinner(say("output.lens_running"), show_time=True):
        return _logit_lens(session.chosen_model(), st.session_state.device, text, target, model_access.applied_edits())


def _masked_token_logits(name: str, device: str, text: ModelInput, place: int, edits: Edits) -> np.ndarray | None:
    def make() -> np.ndarray | None:
        with server_state.running_model(name, device, server_state.letters_of([text])) as model:
            return model.guess(text, place, edits)

    key = ("masked_token", name, device, text, place, edits.text())
    return server_state.result_cache().get(key, make, _bytes)


def masked_token_logits(text: ModelInput, place: int) -> np.ndarray | None:
    """Logits of a masked language model where the token at `place` is masked; None for other models. [vocab]"""
    with input_errors_shown():
        return _masked_token_logits(
            session.chosen_model(), st.session_state.device, text, place, model_access.applied_edits()
        )


def mosaic(trace: Trace, attention: Attention, palette: Palette) -> go.Figure:
    """The figure of all heads of a trace, cached.

    Args:
        attention: one kind of the trace's attention, between tokens or merged into words.
    """
    found = characters(trace, attention)

    def draw(maps: Attention) -> go.Figure:
        said = [
            readings.head_character(found, layer, head)
            for layer in range(maps.num_layers)
            for head in range(maps.num_heads)
        ]
        return head_mosaic(maps, palette, characters=said)

    key = ("mosaic", palette, current_language())
    return measured(trace, attention, key, draw, lambda figure: 2 * len(parts(figure).layout.images[0].source))


def characters(trace: Trace, attention: Attention) -> tuple[Character, ...]:
    """What this run shows of every head of one kind of attention, cached. attention: as in `mosaic`"""
    kind, model = attention.kind, session.chosen_model()
    whole = attention is trace.attentions[kind]  # not merged into words
    ids = trace.ids.get(query_stack(kind)) if whole else None

    def measure(maps: Attention) -> tuple[Character, ...]:
        return head_characters(maps, ids, published_aligners(model))

    return measured(
        trace, attention, ("characters",), measure, lambda found: sum(3 * one.share.nbytes for one in found)
    )


def head_effects(trace: Trace, target: Target, ask: str) -> tuple[dict[str, np.ndarray], bool] | None:
    """Effects of silencing each head, by attention kind [layer, head], and whether they are in bits; or None.

    None as long as the user has not started the computation. Shows progress and a cancel button: any click reruns the
    page, which interrupts the computation.

    Args:
        trace: the run without any head silenced; target: the output it is compared on.
        ask: label of the button that starts a computation longer than `UNPROMPTED_WORK`.
    """
    how = session.chosen_model(), st.session_state.device
    key = ("head_effects", *how, model_access.model_input(), target, trace.edits.text())
    cache = server_state.result_cache()
    found: tuple[dict[str, np.ndarray], bool] | None = cache.find(key)
    if found is None:
        heads_total = sum(layers * heads for layers, heads in model_access.open_model().heads.values())
        tokens = max(len(side) for side in trace.tokens.values())
        must_ask = heads_total * tokens > UNPROMPTED_WORK or st.session_state.get("effects_ended") == key
        if must_ask and not st.button(ask, key="effects", type="primary", icon=":material/science:"):
            return None
        progress = st.empty()
        with progress.container():
            bar = st.progress(0.0, say("changes.running"))
            st.button(say("changes.cancel"), key="effects_cancel", on_click=_end_effects, args=(key,))

            def show(share: float) -> None:
                bar.progress(share, say("changes.running"))

            with server_state.working_model(*how) as model:
                made = model.head_effects(model_access.model_input(), target, trace.edits, show)
        progress.empty()
        # Not computed inside `get`: a click that ends this run would end the others that wait for its result.
        found = cache.get(key, lambda: made, lambda effects: _bytes(*effects[0].values()))
    return found


def _end_effects(key: tuple[object, ...]) -> None:
    """Remember that the user cancelled this computation, so that it starts again only on request."""
    st.session_state.effects_ended = key


def multi_head(trace: Trace, kind: str, layer: int) -> MultiHeadLayer | NotMultiHead:
    """Projection matrices and inputs of one attention layer, cached; the reason where there are none."""

    def size(found: MultiHeadLayer | NotMultiHead) -> int:
        return _bytes(found.output, *vars(found.inputs).values()) if isinstance(found, MultiHeadLayer) else ENTRY_BYTES

    key = ("multi_head", trace.serial, kind, layer)
    return server_state.result_cache().get(key, partial(trace.multi_head, kind, layer), size)


def library_run(trace: Trace, kind: str, layer: int, library: str, part: str) -> libraries.LibraryRun:
    """One attention layer of a trace recomputed by another library, cached.

    Args:
        library: one of `model.libraries.runner.PACKAGES`, or TensorFlow.
        part: "formula" (softmax and weighted sum) or "layer" (with its projections).

    Raises:
        LibraryError: the library is not installed or its run failed.
    """

    def make() -> libraries.LibraryRun:
        projections = multi_head(trace, kind, layer)
        inputs = projections.inputs if part == "layer" and isinstance(projections, MultiHeadLayer) else None
        with _library_turns.held():
            return libraries.run(library, part, vars(inputs or formula_inputs(trace.attentions[kind], layer)))

    key = ("library_run", trace.serial, kind, layer, library, part)
    return server_state.result_cache().get(key, make, lambda run: _bytes(run.weights, run.output))
