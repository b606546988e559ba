"""What is computed once and kept, besides traces: decoding, the logit lens, heads silenced in turn."""

from __future__ import annotations

import threading
from operator import attrgetter

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from model.generation.decoding import Decoded, Decoding
from model.libraries import runner as libraries
from model.libraries.script import formula_inputs
from model.memory.cached_layers import without_cache
from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.layer_inputs import Layer, NoLayer
from model.trace.trace import Target, Trace
from viz.figures.heads import head_mosaic
from viz.figures.theme import Palette
from viz.frame import server_state, session
from viz.language.messages import say, spoken

AT_ONCE = 4_000  # heads times tokens that are silenced without asking: about a second
_one_library = threading.Lock()


@st.cache_resource(show_spinner=False, max_entries=200, hash_funcs={Edits: Edits.text})
def _decode(name: str, device: str, text: str, how: Decoding, edits: Edits) -> Decoded:
    with server_state.passing(name, device) as model:
        return model.decode(text, how, edits)


def decode(text: str, how: Decoding) -> Decoded:
    """What the chosen model writes, with the panel's changes; stops the page with a sentence where it cannot."""
    session.lens()
    with session.explained(), st.spinner(say("sidebar.running"), show_time=True):
        return _decode(session.chosen(), st.session_state.device, text, how, session.edits())


@st.cache_resource(show_spinner=False, max_entries=100, hash_funcs={Edits: Edits.text})
def _logit_lens(
    name: str, device: str, text: str | bytes, target: Target, edits: Edits
) -> tuple[np.ndarray, np.ndarray] | None:
    with server_state.passing(name, device) as model:
        return model.layer_words(text, target, edits)


def logit_lens(text: str | bytes, target: Target) -> tuple[np.ndarray, np.ndarray] | None:
    """Each layer's likeliest token and its probability, [layer + 1, token] each; None without an output head."""
    with session.explained(), st.spinner(say("sidebar.running"), show_time=True):
        return _logit_lens(session.chosen(), st.session_state.device, text, target, session.edits())


@st.cache_resource(show_spinner=False, max_entries=200, hash_funcs={Edits: Edits.text})
def _guess(name: str, device: str, text: str | bytes, place: int, edits: Edits) -> np.ndarray | None:
    with server_state.passing(name, device) as model:
        return model.guess(text, place, edits)


def guess(text: str | bytes, place: int) -> np.ndarray | None:
    """What the chosen model finds likely where a token is hidden. [vocab]"""
    with session.explained():
        return _guess(session.chosen(), st.session_state.device, text, place, session.edits())


def mosaic(trace: Trace, attention: Attention, palette: Palette) -> go.Figure:
    """The picture of all heads of a run, between pieces or between words; made once."""
    key = ("mosaic", trace.serial, attention.kind, attention is trace.attentions[attention.kind], palette, spoken())

    def make() -> go.Figure:
        return head_mosaic(without_cache(attention), palette)

    return server_state.kept().get(key, make, lambda figure: 2 * len(figure.layout.images[0].source))


@st.cache_resource(show_spinner=False)
def _kept_effects() -> dict[tuple[object, ...], tuple[dict[str, np.ndarray], bool]]:
    """What silencing each head did, by everything it depends on."""
    return {}


def head_effects(trace: Trace, target: Target, ask: str) -> tuple[dict[str, np.ndarray], bool] | None:
    """How much each head matters for a run; where that takes long, once the button labelled `ask` was pressed.

    Shows progress and a button that ends it: any click reruns the page, which stops the work where it is.
    """
    key = (session.chosen(), st.session_state.device, session.given(), target, trace.edits)
    kept = _kept_effects()
    if key not in kept:
        runs = sum(layers * heads for layers, heads in session.lens().heads.values())
        tokens = max(len(side) for side in trace.tokens.values())
        asks = runs * tokens > AT_ONCE or st.session_state.get("effects_ended") == key
        if asks and not st.button(ask, key="effects", type="primary", icon=":material/science:"):
            return None
        room = st.empty()
        with room.container():
            bar = st.progress(0.0, say("changes.running"))
            st.button(say("changes.cancel"), key="effects_cancel", on_click=_end_effects, args=(key,))

            def show(share: float) -> None:
                bar.progress(share, say("changes.running"))

            with server_state.passing(session.chosen(), st.session_state.device) as model:
                kept[key] = model.head_effects(session.given(), target, trace.edits, show)
        room.empty()
        if len(kept) > 100:
            kept.pop(next(iter(kept)))
    return kept[key]


def _end_effects(key: tuple[object, ...]) -> None:
    """What was ended is not begun again unasked."""
    st.session_state.effects_ended = key


@st.cache_resource(show_spinner=False, max_entries=50, hash_funcs={Trace: attrgetter("serial")})
def multi_head(trace: Trace, kind: str, layer: int) -> Layer | NoLayer:
    """The matrices of one layer of a run, found once."""
    with server_state.passing(session.chosen(), st.session_state.device):
        return trace.multi_head(kind, layer)


@st.cache_resource(show_spinner=False, max_entries=50, hash_funcs={Trace: attrgetter("serial")})
def library(trace: Trace, kind: str, layer: int, library: str, part: str) -> libraries.Run:
    """What a library makes of one layer of a run: its "formula" alone or the whole "layer".

    Raises:
        LibraryError: the library is not installed or could not be run.
    """
    found = multi_head(trace, kind, layer)
    whole = found.inputs if part == "layer" and isinstance(found, Layer) else None
    with _one_library:
        return libraries.run(library, part, vars(whole or formula_inputs(trace.attentions[kind], layer)))
