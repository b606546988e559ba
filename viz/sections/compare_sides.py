"""The two sides of the Compare page: the preset, and side B chosen by widgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from model.catalog.entries import CATALOG
from model.measures import weight_scales
from model.trace.attention import Attention
from model.trace.edits import most_specific
from model.trace.trace import Trace
from viz.frame import model_access, results, session
from viz.frame.option_row import option_row
from viz.language.messages import say

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
        factor = most_specific(self.trace.edits.heads, self.attention.kind, self.layer, self.head)
        rows = rows * abs(1.0 if factor is None else factor)
        return weight_scales.value_norms(weights, self.attention.value(self.layer)[self.head], rows)


def other_side(a: Side) -> Side:
    """Side B, chosen by widgets; what the preset does not name is as on side A.

    Raises:
        Halt: B cannot be run, and the page says why.
    """
    # There is one widget for pictures, so presets that compare two texts are left out for them.
    presets = [name for name, fields in PRESETS.items() if a.trace.picture is None or "text" not in fields]
    preset = option_row(say("compare.preset"), presets, "heads", "compare")
    st.caption(say(f"compare.{preset}_why"))
    fields = PRESETS[preset]
    if preset == "pair":
        st.button(say("compare.take_pair"), on_click=_take_pair, icon=":material/content_paste:")
    with st.container(border=True):
        st.markdown(say("compare.b"))
        name = session.chosen_model()
        if "model" in fields:
            name = (
                st.selectbox(
                    say("compare.b_model"), list(CATALOG), key="b_model", accept_new_options=True, bind="query-params"
                )
                or name
            )
        text: str | bytes = model_access.model_input()
        if "text" in fields:
            if "b_text" not in st.query_params:  # after a reconnection the link brings the text along
                st.session_state.setdefault("b_text", a.trace.text)
            text = st.text_input(say("compare.b_text"), key="b_text", bind="query-params")
        edits = a.trace.edits
        if "edits" in fields:
            same_edits = st.toggle(
                say("compare.b_edits"), key="b_edits", bind="query-params", help=say("compare.b_edits_help")
            )
            written = (
                ""
                if same_edits
                else st.text_input(
                    say("compare.b_changes"), key="b_changes", bind="query-params", help=say("compare.b_changes_help")
                )
            )
        model = model_access.open_model(name)
        if "edits" in fields and not same_edits:
            edits = model_access.parse_edits(written, model, warn=True)
        target = (
            model_access.forced_target() if model.is_encoder_decoder and text == model_access.model_input() else None
        )
        trace = results.traces((text,), (target,), "other", edits.supported_by(model.heads), name)[0]
        kind, layer, head = a.attention.kind, a.layer, a.head
        if "head" in fields:
            kind, layer, head = _pick_head(trace, a)
        attention = trace.attentions.get(kind) or list(trace.attentions.values())[-1]
    layer, head = min(layer, attention.num_layers - 1), min(head, attention.num_heads - 1)
    return Side(trace, attention, layer, head, name)


def _pick_head(trace: Trace, a: Side) -> tuple[str, int, int]:
    """Kind, layer and head of side B, chosen by widgets that start at the head after A's."""
    kinds = list(trace.attentions)
    columns = st.columns(3)
    with columns[0]:
        own = a.attention.kind if a.attention.kind in kinds else kinds[0]
        kind = option_row(say("pick.kind"), kinds, own, "b_kind")
    attention = trace.attentions[kind]
    numbers = []
    for column, field, count, start in (
        (columns[1], "layer", attention.num_layers, a.layer),
        (columns[2], "head", attention.num_heads, a.head + 1 if a.head + 1 < attention.num_heads else 0),
    ):
        key = f"b_{field}"
        if st.session_state.get(key, 0) not in range(count):
            del st.session_state[key]
        numbers.append(
            column.selectbox(say(f"pick.{field}"), range(count), min(start, count - 1), key=key, bind="query-params")
        )
    return kind, numbers[0], numbers[1]


def _take_pair() -> None:
    """Fill both text boxes with the example of a minimal pair; a callback."""
    st.session_state.text, st.session_state.b_text = MINIMAL_PAIR
