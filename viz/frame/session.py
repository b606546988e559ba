"""Choices of one browser session, read from `st.session_state` without opening a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.trace.edits import Edits
from viz.figures.theme import DARK, LIGHT, Palette, high_contrast

PICTURES = {path.stem: str(path) for path in sorted((ASSETS / "pictures").glob("*.png"))}  # name -> file
OWN, FORCED = "own", "forced"  # values of the widget "whose": the model's own output, or one that the user typed


class Halt(Exception):  # noqa: N818  (not an error: the page has already said why it ends)
    """Ends a page early; unlike `st.stop`, the frame around the page is still drawn."""


def chosen_model() -> str:
    """The id of the chosen model; the first of the catalog where the box was cleared."""
    return st.session_state.model or next(iter(CATALOG))


def set_edits(edits: Edits) -> None:
    """Store the edits of this session; for callbacks of widgets."""
    st.session_state.edits = edits.text()


def palette() -> Palette:
    """The palette of the browser's theme, with more contrast in projector mode."""
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    return high_contrast(theme) if st.session_state.get("projector") else theme


def set_aside(keys: Iterable[str]) -> None:
    """Remember the values under these keys for `put_back`, unless some are remembered already."""
    state = st.session_state
    if "aside" not in state:
        state.aside = {key: state[key] for key in keys if key in state}


def put_back(missing: Mapping[str, object]) -> None:
    """Set the values again that were set aside; for callbacks of widgets. missing: values of keys that had none"""
    state = st.session_state
    if "aside" in state:
        state.update({**missing, **state.pop("aside")})
