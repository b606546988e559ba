"""What can be taken along: each figure as picture, numbers or live page, and the whole page as link or handout."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.trace import Attention, Trace
from viz import links, session, tables
from viz.alone import alone
from viz.figures.qr import qr_code
from viz.text import isolate, say, spoken

if TYPE_CHECKING:
    import pandas as pd

Table: TypeAlias = "Callable[[], pd.DataFrame]"
Run = tuple[str, str, Trace]  # the model's name, its number format, and what it computed
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
        from viz.figures.still import still  # matplotlib: a second, and only who saves needs it

        return still(figure, palette.page, form)

    def page() -> str:
        from viz.handout import page as made

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


def share(room: DeltaGenerator, page: str) -> None:
    """The menu that shares what is on screen. page: its title"""
    with room:
        _share(page)


@alone
def _share(page: str) -> None:
    menu = st.popover(
        say("share.title"), icon=":material/qr_code_2:", help=say("share.help"), key="share_menu", on_change="rerun"
    )
    if not menu.open:
        return
    link, palette, facts = links.address(), session.palette(), _facts()
    drawn = [(one.figure, one.look) for one in st.session_state.drawn.values()]

    read = st.session_state.ran[0][-1] if st.session_state.ran else None
    said = [isolate(text) for text in (_read(read), read.output) if text] if read else []
    title = f"{page}: {' → '.join(said)}" if said else page

    def handout() -> bytes:
        from viz.handout import pdf

        return pdf(title, drawn, facts, link, palette)

    def live() -> str:
        from viz.handout import page as made

        return made(title, drawn, facts, palette, spoken())

    with menu:
        code = qr_code(link)
        if code is None:
            st.info(say("share.qr_long"), icon=":material/qr_code_2:")
        else:
            st.image(code.svg_inline(scale=8, border=4, dark="#000", light="#fff"), say("share.qr"), width=460)
        st.markdown(say("share.link"))
        st.code(link, language=None, wrap_lines=True)
        if any(host in link for host in ("//localhost", "//127.0.0.1", "//[::1]")):
            st.caption(say("share.local"))
        if st.session_state.get("upload") is not None:
            st.caption(say("share.own_picture"))
        if drawn:
            _button("pdf", handout, "headlight.pdf", "application/pdf", "stretch")
            _button("page_html", live, "headlight.html", "text/html", "stretch")
            if st.context.theme.type == "dark":
                st.caption(say("export.dark"))


def _button(
    name: str, make: Callable[[], bytes | str], file: str, mime: str, width: Literal["content", "stretch"] = "content"
) -> None:
    st.download_button(say(f"export.{name}"), make, file, mime, key=f"{file}_{name}", on_click="ignore", width=width)


def _read(trace: Trace) -> str:
    """What a model read: the text, or the name of the picture's file without the folders of this computer."""
    return trace.text if trace.picture is None else Path(trace.text).name


def _facts() -> list[tuple[str, str]]:
    return card(st.session_state.ran, session.chosen(), links.address())


def card(ran: Sequence[Run], chosen: str, link: str) -> list[tuple[str, str]]:
    """What a reader needs to get the same numbers: of each run on a page, and of the machine.

    Args:
        chosen: name of the model, for a page that runs none.
    """
    rows = []
    for name, dtype, trace in {id(run[-1]): run for run in ran}.values():
        check = trace.verify()
        largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
        rows += [
            (say("export.model"), name),
            (say("export.revision"), " ".join(session.version(name)).strip()),
            (say("export.text"), _read(trace)),
            (say("export.output"), trace.output or ""),
            (say("export.edits"), trace.edits.text() or say("export.no_edits")),
            (say("export.ran_on"), say("export.ran", device=trace.device, dtype=dtype).strip(", ")),
            (
                say("export.check"),
                say(
                    "export.error",
                    error=f"{largest:.1e}",
                    tolerance=f"{check.tolerance:.0e}",
                    verdict=say("export.holds" if check.ok else "export.fails"),
                    how=check.how,
                ),
            ),
        ]
    if not rows:
        rows = [(say("export.model"), chosen), (say("export.revision"), " ".join(session.version(chosen)).strip())]
        rows += [(say("export.check"), say("export.no_run"))]
    packages = [f"{one} {version(one)}" for one in ("torch", "transformers", "numpy", "plotly", "streamlit")]
    rows += [
        (say("export.versions"), ", ".join([f"Python {platform.python_version()}", *packages])),
        (say("export.made"), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        (say("export.link"), link),
    ]
    return [(name, value) for name, value in rows if value]
