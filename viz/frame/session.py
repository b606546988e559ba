"""Choices of one browser session, read from `st.session_state` without opening a model."""

from __future__ import annotations

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
