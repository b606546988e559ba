"""Plotly figures on the page, with a caption, a text for screen readers and a save menu; announced sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from viz.figures.theme import enlarged_figure, figure_meta, untitled_figure
from viz.language.messages import say, strip_markdown
from viz.widgets.menus import save_menu

PROJECTOR_SCALE = 1.4  # factor of a figure's font sizes in projector mode


def announced_markdown(sentence: str, place: Any = st, ahead: str = "") -> None:
    """Draw a sentence that screen readers announce whenever it changes.

    Args:
        place: container, by default the page.
        ahead: key of a figure drawn after it, under whose caption saved pages say it, too.
    """
    place.markdown(sentence)
    if ahead:
        save_menu.note_ahead(ahead, sentence)
    st.session_state.said = strip_markdown(sentence)


def noted_caption(sentence: str, figure: str) -> None:
    """Draw a sentence in small type that saved pages say under the caption of a figure, too. figure: its key"""
    st.caption(sentence)
    save_menu.register_note(figure, sentence)


def noted_markdown(sentence: str, figure: str) -> None:
    """Draw a sentence that saved pages say under the caption of a figure, too. figure: its key"""
    st.markdown(sentence)
    save_menu.register_note(figure, sentence)


def chart_with_menu(
    figure: object,
    key: str,
    caption: str,
    on_select: Callable[[], None] | None = None,
    table: save_menu.TableSource | int | None = None,
) -> None:
    """Draw a figure, its caption and its save menu.

    Args:
        figure: a Plotly figure.
        key: of the widget, and of the figure among those of the page.
        caption: what to look for; screen readers read it as the figure's description.
        on_select: callback for a click on a point.
        table: source of the numbers behind the figure, or their count, where the figure does not hold them all; see
            `save_menu.weights_table`.
    """
    chart(st, figure, key, caption, on_select, table)
    save_menu.menu(key)


def chart(
    place: Any,
    figure: object,
    key: str,
    caption: str,
    on_select: Callable[[], None] | None = None,
    table: save_menu.TableSource | int | None = None,
    titled: bool = True,
) -> None:
    """Draw a figure in a container, without caption and menu, which `save_menu.menu` draws.

    For figures that are redrawn more often than their menus. Arguments as for `chart_with_menu`.
    """
    pooled = figure_meta(figure).get("pooled")
    if pooled:
        rows, columns = pooled
        how = "pooled_columns" if rows == 1 else "pooled_rows" if columns == 1 else "pooled"
        caption = f"{caption} {say(f'large.{how}', rows=rows, columns=columns)}"
    drawn = figure if titled else untitled_figure(figure)
    place.plotly_chart(
        enlarged_figure(drawn, PROJECTOR_SCALE) if st.session_state.get("projector") else drawn,
        theme=None,
        key=key,
        alt=caption,
        on_select=on_select or "ignore",
        selection_mode="points",
        # Saving is in our own menu; nothing can be dragged, and so nothing needs to be put back.
        config={"displayModeBar": False, "doubleClickDelay": 1},
    )
    save_menu.register_figure(figure, key, caption, table)
