"""What can be taken along: each figure as picture, numbers or live page, and the whole page as link or handout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import plotly.graph_objects as go
import streamlit as st

from model.trace.attention import Attention
from viz.frame import session
from viz.frame.fragments import alone
from viz.language.messages import say, spoken
from viz.saving import tables
from viz.widgets.run_card import _facts

if TYPE_CHECKING:
    import pandas as pd


Table: TypeAlias = "Callable[[], pd.DataFrame]"


MOST = 1_000_000  # lines of a table that still opens elsewhere


def begin() -> None:
    """Forget the figures and runs of the page before; at the beginning of each run."""
    st.session_state.drawn, st.session_state.ran = {}, []


def cells(attention: Attention, layer: int | None = None, head: int | None = None) -> Table | int:
    """The numbers behind a picture of heads, all where none is named; how many there are if they are too many."""
    layers = range(attention.num_layers) if layer is None else range(layer, layer + 1)
    heads = range(attention.num_heads) if head is None else range(head, head + 1)
    count = len(layers) * len(heads) * len(attention.queries) * len(attention.keys)
    return count if count > MOST else partial(tables.weights_table, attention, layers, heads)


@dataclass(frozen=True)
class Drawn:
    """A figure of the page, what to look for in it, and what makes the numbers behind it."""

    figure: go.Figure
    look: str
    table: Table | int


def keep(figure: object, key: str, look: str, table: Table | int | None = None) -> None:
    """Remember what stands on the page under a key, for its menu and for the handout."""
    assert isinstance(figure, go.Figure)
    st.session_state.drawn[key] = Drawn(figure, look, table or partial(tables.figure_table, figure))


@alone
def menu(key: str) -> None:
    """What to look for in a figure, and beside it a small menu: its numbers as a table, and files of it.

    It asks what the figure is when it is opened: a figure may be drawn anew without its menu.
    """
    found: Drawn | None = st.session_state.drawn.get(key)
    if found is None:
        return
    figure, look, table = found.figure, found.look, found.table
    st.caption(look)  # in the fragment's own container, which the style sheet makes a row
    # What is in it is made when it is opened: a table of every map would cost more than the map.
    room = st.popover(
        say("export.save"), icon=":material/table_view:", type="tertiary", key=f"save_{key}", on_change="rerun"
    )
    if not room.open:
        return
    palette, title = session.palette(), tables.bare(figure.layout.title.text)
    facts, name = _facts(), f"headlight-{key}"

    def picture(form: str) -> bytes:
        from viz.saving.still_image import still  # matplotlib: a second, and only who saves needs it

        return still(figure, palette.page, form)

    def page() -> str:
        from viz.saving.handout import page as made

        return made(title, [(figure, look)], facts, palette, spoken())

    with room:
        with st.container(horizontal=True, gap="small"):
            _button("png", partial(picture, "png"), f"{name}.png", "image/png")
            _button("svg", partial(picture, "svg"), f"{name}.svg", "image/svg+xml")
            if isinstance(table, int):
                st.caption(say("export.too_many", count=f"{table:,}"))
            else:
                _button("csv", partial(_csv, table), f"{name}.csv", "text/csv")
            _button("html", page, f"{name}.html", "text/html")
        st.markdown(say("audience.table"))
        st.dataframe(tables.twin_table(figure), hide_index=True, alt=look, key=f"table_{key}")


def _csv(table: Table) -> bytes:
    # With a mark at the start, spreadsheets read the letters right.
    return b"\xef\xbb\xbf" + table().to_csv(index=False).encode()


def _button(
    name: str, make: Callable[[], bytes | str], file: str, mime: str, width: Literal["content", "stretch"] = "content"
) -> None:
    st.download_button(say(f"export.{name}"), make, file, mime, key=f"{file}_{name}", on_click="ignore", width=width)
