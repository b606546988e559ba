"""The save menu of each figure: its caption, its numbers as a table, and downloads as PNG, SVG, CSV or HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import plotly.graph_objects as go
import streamlit as st

from model.trace.attention import Attention
from viz.figures.theme import Palette
from viz.frame import server_state, session
from viz.frame.fragments import page_fragment
from viz.language.messages import current_language, say, strip_markdown, whole_number
from viz.saving import tables
from viz.saving.still_page import with_frames
from viz.widgets.menus.run_card import page_facts

if TYPE_CHECKING:
    import pandas as pd


TableSource: TypeAlias = "Callable[[], pd.DataFrame]"  # makes the table when it is asked for


MAX_ROWS = 1_000_000  # of a table that spreadsheets still open


def begin_run() -> None:
    """Clear the lists of figures and model runs on the page; at the beginning of each run of the app."""
    st.session_state.drawn, st.session_state.ran = server_state.ShownFigures(), []
    st.session_state.claims, st.session_state.notes_ahead = {}, {}
    st.session_state.sent = None


def weights_table(attention: Attention, layer: int | None = None, head: int | None = None) -> TableSource | int:
    """The source of a table of attention weights, one row per cell; their count where it is above `MAX_ROWS`.

    Args:
        layer, head: None for all.
    """
    layers = range(attention.num_layers) if layer is None else range(layer, layer + 1)
    heads = range(attention.num_heads) if head is None else range(head, head + 1)
    count = len(layers) * len(heads) * len(attention.queries) * len(attention.keys)
    return count if count > MAX_ROWS else partial(tables.weights_table, attention, layers, heads)


@dataclass(frozen=True)
class PageFigure:
    """A figure on the page, its caption, and the source of its numbers or their count if there are too many.

    Attributes:
        wide: source of the table that is shown on the page; None for that of its heat map or its points.
        notes: sentences that the page says beside it, as Markdown; saved pages say them under its caption.
        frames: of a figure of all heads, name -> layer and head of each that is framed; None for the head on screen.
    """

    figure: go.Figure
    caption: str
    table: TableSource | int
    wide: TableSource | None = None
    notes: tuple[str, ...] = ()
    frames: Mapping[str, Sequence[int]] | None = None

    def framed(self, palette: Palette) -> go.Figure:
        """The figure as it is saved: with the frames around chosen heads, which the browser draws on the page."""
        state = st.session_state
        on_screen = {"": (state.get("layer") or 0, state.get("head") or 0)}
        return with_frames(self.figure, on_screen if self.frames is None else self.frames, palette)

    def saved_caption(self, said: str = "") -> str:
        """The caption in saved pages, with its notes unless a lesson covers what they say. said: under their title"""
        notes = [] if st.session_state.get("covered") else [one for one in self.notes if strip_markdown(one) != said]
        return " ".join((self.caption, *notes))


def register_figure(
    figure: object,
    key: str,
    caption: str,
    table: TableSource | int | None = None,
    wide: TableSource | None = None,
) -> None:
    """Add a figure to those of the page, for its save menu and the handout."""
    assert isinstance(figure, go.Figure)
    drawn = st.session_state.drawn
    drawn.nbytes += figure_bytes(figure) - (figure_bytes(drawn[key].figure) if key in drawn else 0)
    notes = tuple(st.session_state.setdefault("notes_ahead", {}).pop(key, ()))
    drawn[key] = PageFigure(figure, caption, table or partial(tables.figure_table, figure), wide, notes)


def register_note(key: str, sentence: str) -> None:
    """Add a sentence that the page says beside a registered figure, if it is there, to what saved pages say of it."""
    drawn = st.session_state.drawn
    if key in drawn:
        drawn[key] = replace(drawn[key], notes=(*drawn[key].notes, sentence))


def register_frames(key: str, frames: Mapping[str, Sequence[int]]) -> None:
    """Say which heads are framed in a registered figure of all heads, where these are not the head on screen."""
    drawn = st.session_state.drawn
    if key in drawn:
        drawn[key] = replace(drawn[key], frames=frames)


def note_ahead(key: str, sentence: str) -> None:
    """As `register_note`, for a figure that is drawn after the sentence, in the same run or fragment."""
    st.session_state.setdefault("notes_ahead", {}).setdefault(key, []).append(sentence)


def figure_bytes(figure: go.Figure) -> int:
    """Approximate size in bytes of a figure: its arrays and pictures."""
    size = sum(len(image.get("source") or "") for image in figure._layout.get("images", ()))
    for trace in figure._data:
        for name in ("x", "y", "z", "text", "customdata", "hovertext"):
            values = trace.get(name)
            size += getattr(values, "nbytes", 60 * len(values) if isinstance(values, (list, tuple, str)) else 0)
    return size


@page_fragment
def menu(key: str) -> None:
    """Draw the caption of a figure of the page and its save menu; nothing where there is no such figure.

    The figure is looked up when the menu is opened: it may be redrawn without its menu.
    """
    registered: PageFigure | None = st.session_state.drawn.get(key)
    if registered is None:
        return
    figure, caption, table = registered.figure, registered.caption, registered.table
    st.caption(caption)  # in the fragment's own container, which the style sheet makes a row
    # The contents are made when it is opened: a table of every map would cost more than the map.
    popover = st.popover(
        say("export.save"), icon=":material/table_view:", type="tertiary", key=f"save_{key}", on_change="rerun"
    )
    if not popover.open:
        return
    palette, title = session.palette(), tables.label_text(figure.layout.title.text)
    facts, name = page_facts(), f"headlight-{key}"
    figure = registered.framed(palette)

    def image(form: str) -> bytes:
        from viz.saving.still_image import still_image  # imports matplotlib, which takes a second

        return still_image(figure, palette.page, form)

    def live_page() -> str:
        from viz.saving.handout import html_page

        return html_page(title, [(figure, registered.saved_caption())], facts, palette, current_language())

    with popover:
        with st.container(horizontal=True, gap="small"):
            download_button("png", partial(image, "png"), f"{name}.png", "image/png")
            download_button("svg", partial(image, "svg"), f"{name}.svg", "image/svg+xml")
            if isinstance(table, int):
                st.caption(say("export.too_many", count=whole_number(table)))
            else:
                download_button("csv", partial(_csv, table), f"{name}.csv", "text/csv")
            download_button("html", live_page, f"{name}.html", "text/html")
        st.markdown(say("audience.table"))
        shown_table = registered.wide() if registered.wide else tables.wide_figure_table(figure)
        st.dataframe(shown_table, hide_index=True, alt=caption, key=f"table_{key}")


def _csv(table: TableSource) -> bytes:
    """The table as CSV in UTF-8."""
    # Spreadsheets read it as UTF-8 only with a byte-order mark.
    return b"\xef\xbb\xbf" + tables.table_csv(table()).encode()


def download_button(
    name: str, make: Callable[[], bytes | str], file: str, mime: str, width: Literal["content", "stretch"] = "content"
) -> None:
    """Draw a button that makes a file when it is clicked, and downloads it. name: of its label among the texts"""
    st.download_button(say(f"export.{name}"), make, file, mime, key=f"{file}_{name}", on_click="ignore", width=width)
