"""The two sides of the Compare page: the run of B, and the heads of A and B that tiles, arrow keys and links choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.catalog.entries import CATALOG
from model.catalog.store import local_folder
from model.maps.words import join_silence
from model.measures import weight_scales
from model.measures.alignment import AlignedPairs
from model.trace.attention import Attention
from model.trace.edits import Edits, most_specific
from model.trace.lens import Lens
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from model.trace.typed_text import ModelInput, SpokenSound, TypedText
from viz.figures.compare_runs import ALONE
from viz.figures.linking import query_stack
from viz.frame import links, model_access, session
from viz.frame.bars.sentence_bar import model_label
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.language.messages import isolate_rtl, say
from viz.widgets import badge, pickers

# Preset -> what side B may differ in from side A; each difference has its widgets.
PRESETS: dict[str, tuple[str, ...]] = {
    "heads": ("head",),
    "sentences": ("text",),
    "pair": ("text",),
    "models": ("model", "head"),
    "edit": ("edits",),
    "anything": ("model", "text", "head", "edits"),
}
MINIMAL_PAIR = (
    "The animal didn't cross the street because it was too tired.",
    "The animal didn't cross the street because it was too wide.",
)


@dataclass(frozen=True)
class Side:
    """One of the two compared heads, with the run it belongs to.

    Attributes:
        name: id of the model.
    """

    trace: Trace
    attention: Attention
    layer: int
    head: int
    name: str

    def weights(self) -> np.ndarray:
        """The head's weights; masked cells are 0. [query, key]"""
        sides = range(len(self.attention.queries)), range(len(self.attention.keys))
        return np.nan_to_num(self.attention.pooled(self.layer, self.head, *sides), nan=0.0)

    def value_norms(self, weights: np.ndarray) -> np.ndarray | None:
        """Norms of the weighted, projected value vectors; None where values or W_O are not available. [query, key]

        A head scaled by an edit has its norms scaled by the same factor.

        Source: Kobayashi et al., "Attention is Not Only a Weight" (2020).

        Args:
            weights: of the head, [query, key]
        """
        if not self.attention.has_vectors:
            return None
        w_o = results.multi_head(self.trace, self.attention.kind, self.layer).w_o
        if w_o is None:
            return None
        dim = self.attention.head_dim
        rows = w_o[self.head * dim : (self.head + 1) * dim]
        number = self.attention.layer_index[self.layer]
        factor = most_specific(self.trace.edits.heads, self.attention.kind, number, self.head)
        rows = rows * abs(1.0 if factor is None else factor)
        return weight_scales.value_norms(weights, self.attention.value(self.layer)[self.head], rows)


@dataclass(frozen=True)
class OtherRun:
    """The run of side B.

    Attributes:
        own_head: whether B's layer and head are chosen; otherwise they are A's.
        name: id of the model.
        output, badge: containers for what B's run says and for its badge.
    """

    trace: Trace
    own_head: bool
    name: str
    output: DeltaGenerator
    badge: DeltaGenerator


def pick_preset(trace: Trace) -> str:
    """What side B is, chosen by a row of buttons; one of `PRESETS`. trace: of side A"""
    # There is one widget for pictures and for sounds, so presets that compare two texts are left out for them.
    presets = [name for name, fields in PRESETS.items() if trace.of_text or "text" not in fields]
    return option_row(say("compare.preset"), presets, "heads", "compare")


def other_run(trace: Trace, preset: str) -> OtherRun:
    """Side B's run, with its widgets in one row; what the preset does not name is as on side A.

    Raises:
        Halt: B cannot be run, and the page says why.
    """
    fields = PRESETS[preset]
    if fields == ("head",):
        return OtherRun(trace, True, session.chosen_model(), st.container(), st.container())
    with st.container(horizontal=True, key="b_row", vertical_alignment="center", gap="small"):
        name = _pick_model(preset) if "model" in fields else session.chosen_model()
        text = _pick_text(trace, preset) if "text" in fields else model_access.model_input()
        written = _pick_changes(trace, preset) if "edits" in fields else None
        model = model_access.open_model(name)
        if isinstance(text, TypedText):  # another model may not take what is chosen for this one
            text = session.typed_text(text.text, model.choices)
        if isinstance(text, SpokenSound):
            text = session.spoken_sound(text.sound, model.choices)
        edits = trace.edits if written is None else model_access.parse_edits(written, model, warn=True)
        other = _run(trace, text, edits, name, model)
        output, badge_room = st.container(width="content", key="b_output"), st.container(width="content", key="b_badge")
    return OtherRun(other, "head" in fields, name, output, badge_room)


def pick_kind(attention: Attention, other: OtherRun) -> Attention:
    """The attention of side B: of A's kind, or of the kind chosen by a row of buttons where B has a head of its own."""
    kinds = list(other.trace.attentions)
    kind = attention.kind if attention.kind in kinds else kinds[-1]
    if other.own_head and len(kinds) > 1:
        kind = option_row(say("compare.b_kind"), kinds, kind, "b_kind")
    return join_silence(other.trace.attentions[kind])


def _run(trace: Trace, text: ModelInput, edits: Edits, name: str, model: Lens) -> Trace:
    """The trace of side B; A's own where nothing differs."""
    same_input = text == model_access.model_input()
    target = model_access.forced_target() if model.is_encoder_decoder and same_input else None
    edits = model_access.supported_edits(edits, model)
    if same_input and name == session.chosen_model() and edits == trace.edits:
        return trace
    return results.traces((text,), (target,), "other", edits, name)[0]


def _pick_model(preset: str) -> str:
    """Id of B's model: at first A's, or where models are compared another one on this machine for the same input."""
    own, kind = session.chosen_model(), model_access.input_kind()
    others = [name for name in CATALOG if name != own and CATALOG[name].takes == kind and local_folder(name)]
    default = others[0] if others and preset == "models" else own
    state = st.session_state
    if not state.get("b_model"):
        state.b_model = st.query_params.get("b_model") or default
    chosen = st.selectbox(
        say("compare.b_model"),
        list(CATALOG),
        key="b_model",
        format_func=model_label,
        accept_new_options=True,
        width=420,
        persist_state="session",
    )
    links.store("b_model", chosen or own, default)
    return chosen or own


def _pick_text(trace: Trace, preset: str) -> str:
    """B's sentence."""
    if "b_text" not in st.query_params:  # after a reconnection the link brings the text along
        st.session_state.setdefault("b_text", trace.text)
    text = st.text_input(say("compare.b_text"), key="b_text", bind="query-params")
    if preset == "pair":
        icon = ":material/content_paste:"
        st.button(say("compare.take_pair"), on_click=_take_pair, icon=icon, help=say("compare.pair_why"))
    return text


def _pick_changes(trace: Trace, preset: str) -> str | None:
    """The changes of B's run as text; None for A's."""
    if preset == "edit" and not trace.edits:
        st.caption(say("compare.no_changes"), width="content")
    if preset != "edit" and st.toggle(
        say("compare.b_edits"), key="b_edits", bind="query-params", help=say("compare.b_edits_help")
    ):
        return None
    help_text = say("compare.b_changes_help")
    return st.text_input(say("compare.b_changes"), key="b_changes", bind="query-params", help=help_text)


def _take_pair() -> None:
    """Fill both text boxes with the example of a minimal pair; a callback."""
    st.session_state.text, st.session_state.b_text = MINIMAL_PAIR


def chosen_sides(trace: Trace, attention: Attention, other: OtherRun, b_attention: Attention) -> tuple[Side, Side]:
    """Both sides with the layers and heads of session and link; B's head is at first the one after A's."""
    layer, head = pickers.chosen_head(trace, attention)
    a = Side(trace, attention, layer, head, session.chosen_model())
    layers, heads = b_attention.num_layers, b_attention.num_heads
    layer, head = min(layer, layers - 1), min(head, heads - 1)
    if other.own_head:
        layer = pickers.stored("b_layer", layers, layer, b_attention.layer_index)
        head = pickers.stored("b_head", heads, a.head + 1 if a.head + 1 < heads else 0)
    return a, Side(other.trace, b_attention, layer, head, other.name)


def draw_output(a: Side, b: Side, other: OtherRun, rows: AlignedPairs) -> None:
    """Draw what B's run says, its words linked to the rows of the maps, and its badge; nothing where B's run is A's."""
    if b.trace is a.trace:
        return
    words: Sequence[str] = [escape(isolate_rtl(b.trace.output or ""))]
    if b.attention.kind != "encoder" and "cross" in b.trace.attentions:
        words = _words(b.trace.tokens["decoder"], rows, query_stack(a.attention.kind))
    if any(words):
        other.output.html(f'<div class="tokens"><strong class="side-b">B</strong> → {"".join(words)}</div>')


def _words(tokens: Tokens, rows: AlignedPairs, stack: str) -> list[str]:
    """B's tokens as HTML, each with the place of its partner on side A, or with its own among those without one."""
    partners = {j: (ALONE, j) if i is None else (stack, i) for i, j in rows if j is not None}
    return [
        f'<span class="token{" special" if special else ""}" tabindex="0" role="button" '
        f'data-stack="{partners[place][0]}" data-place="{partners[place][1]}">{escape(isolate_rtl(text))}</span>'
        for place, (text, special) in enumerate(zip(tokens.texts, tokens.special, strict=True))
        if place in partners
    ]


def draw_badge(trace: Trace, other: OtherRun) -> None:
    """Draw the badge of B's run, last of all: it runs the model a second time. trace: of side A"""
    if other.trace is not trace:
        with other.badge:
            badge.verification_badge(other.trace, "compare_b", other.name, exact=True)
