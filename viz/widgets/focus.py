"""In the browser: pointing at a row of a figure shows that token in all figures of the page, and figures glide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from viz.browser.resources import script
from viz.figures.linking import query_stack

_component = st.components.v2.component("headlight_focus", js=script("focus", "line_figures", "axis_labels"))
_glide = st.components.v2.component("headlight_glide", js=script("glide"))
KEY = "script_focus"  # keys that begin so take no room on the page


def draw() -> None:
    """Link the figures of the page, and let them glide; once a run, after they are drawn."""
    state = st.session_state
    kind = state.focus_kind = state.pop("focus_followed", None) or state.get("kind") or "encoder"
    data = {"stack": query_stack(kind), "place": st.session_state.get(f"row_{kind}")}
    _component(key=KEY, data=data, on_token_change=_fix_token, on_pick_change=_pick_token)
    _glide(key="script_glide")


def follow(kind: str) -> None:
    """Take the focus token from the queries of another kind of attention than the chosen one, for one run of a page."""
    st.session_state.focus_followed = kind


def _fix_token() -> None:
    fix(st.session_state[KEY].token)


def _pick_token() -> None:
    """Choose another token than the focus, such as the key that is worked out; a figure's rows say under what name."""
    picked, kind = st.session_state[KEY].pick, st.session_state.get("kind")
    if picked and kind:
        st.session_state[f"{picked[0]}_{kind}"] = int(picked[1])


def fix(token: Sequence[Any] | None) -> None:
    """Show the row of a token from now on. token: (stack, place) as the browser sends it"""
    kind = st.session_state.get("focus_kind") or st.session_state.get("kind")
    if token and kind and query_stack(kind) == token[0]:
        st.session_state[f"row_{kind}"] = int(token[1])
