"""Pieces that several pages are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from viz.figures.theme import enlarged
from viz.language.messages import say, unmarked
from viz.widgets import save_menu

LARGE = 1.4  # times the letters of a figure on a projector


def aloud(sentence: str, room: Any = st) -> None:
    """A sentence on the page, or at a place of it, that a screen reader says, too, whenever it changes."""
    room.markdown(sentence)
    st.session_state.said = unmarked(sentence)


def draw(
    figure: object,
    key: str,
    look: str,
    on_select: Callable[[], None] | None = None,
    table: save_menu.Table | int | None = None,
) -> None:
    """A figure with a caption of what to look for, which is also what a screen reader says, and a menu to save it.

    Args:
        table: makes the numbers behind it where the figure itself does not hold them; see `export.cells`.
    """
    chart(st, figure, key, look, on_select, table)
    save_menu.menu(key)


def chart(
    room: Any,
    figure: object,
    key: str,
    look: str,
    on_select: Callable[[], None] | None = None,
    table: save_menu.Table | int | None = None,
) -> None:
    """The figure of `draw` alone, at a place of the page: its caption and menu, which need not be drawn anew with it,
    are `export.menu`.
    """
    pooled = (getattr(getattr(figure, "layout", None), "meta", None) or {}).get("pooled")
    if pooled:
        rows, columns = pooled
        how = "pooled_columns" if rows == 1 else "pooled_rows" if columns == 1 else "pooled"
        look = f"{look} {say(f'large.{how}', rows=rows, columns=columns)}"
    room.plotly_chart(
        enlarged(figure, LARGE) if st.session_state.get("projector") else figure,
        theme=None,
        key=key,
        alt=look,
        on_select=on_select or "ignore",
        selection_mode="points",
        config={
            "displaylogo": False,
            "doubleClickDelay": 1,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
            "toImageButtonOptions": {"filename": f"headlight-{key}", "scale": 2},
        },
    )
    save_menu.keep(figure, key, look, table)
