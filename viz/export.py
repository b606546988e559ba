"""What can be taken along: each figure as picture, numbers or live page, and the whole page as link or handout."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.revision import revision
from model.trace import Attention, Trace
from viz import links, session, tables
from viz.figures.qr import qr_code
from viz.text import say

Table = Callable[[], pd.DataFrame]
MOST = 1_000_000  # lines of a table that still opens elsewhere


def begin() -> None:
    """Forget the figures and runs of the page before; at the beginning of each run."""
    st.session_state.drawn, st.session_state.ran = {}, []


def cells(attention: Attention, layer: int | None = None, head: int | None = None) -> Table | int:
    """The numbers behind a picture of heads, all where none is named; how many there are if they are too many."""
    layers = range(attention.num_layers) if layer is None else [layer]
    heads = range(attention.num_heads) if head is None else [head]
    count = len(layers) * len(heads) * len(attention.queries) * len(attention.keys)
    return count if count > MOST else partial(tables.weights_table, attention, layers, heads)


def offer(figure: object, key: str, look: str, table: Table | int | None = None) -> None:
    """A small menu under a figure; what is in it is made when it is asked for."""
    assert isinstance(figure, go.Figure)
    st.session_state.drawn[key] = (figure, look)
    _menu(key, table or partial(tables.figure_table, figure))


@st.fragment
def _menu(key: str, table: Table | int) -> None:
    menu = st.popover(
        say("export.save"),
        icon=":material/download:",
        help=say("export.save_help"),
        type="tertiary",
        key=f"save_{key}",
        on_change="rerun",
    )
    if not menu.open or key not in st.session_state.drawn:
        return
    figure, look = st.session_state.drawn[key]
    palette, title = session.palette(), tables.bare(figure.layout.title.text)
    card, name = _card(), f"headlight-{key}"

    def picture(form: str) -> bytes:
        from viz.figures.still import still  # matplotlib: a second, and only who saves needs it

        return still(figure, palette.page, form)

    def page() -> str:
        from viz.handout import page as made

        return made(title, [(figure, look)], card, palette)

    with menu:
        _button("png", partial(picture, "png"), f"{name}.png", "image/png")
        _button("svg", partial(picture, "svg"), f"{name}.svg", "image/svg+xml")
        if isinstance(table, int):
            st.caption(say("export.too_many", count=f"{table:,}"))
        else:
            # With a mark at the start, spreadsheets read the letters right.
            _button("csv", lambda: b"\xef\xbb\xbf" + table().to_csv(index=False).encode(), f"{name}.csv", "text/csv")
        _button("html", page, f"{name}.html", "text/html")


def share(room: DeltaGenerator, page: str) -> None:
    """The menu that shares what is on screen. page: its title"""
    with room, st.container(key="share", horizontal=True, horizontal_alignment="right"):
        _share(page)


@st.fragment
def _share(page: str) -> None:
    menu = st.popover(
        say("share.title"), icon=":material/qr_code_2:", help=say("share.help"), key="share_menu", on_change="rerun"
    )
    if not menu.open:
        return
    link, palette, card, drawn = links.address(), session.palette(), _card(), [*st.session_state.drawn.values()]

    def handout() -> bytes:
        from viz.handout import pdf

        return pdf(page, drawn, card, link, palette)

    def live() -> str:
        from viz.handout import page as made

        return made(page, drawn, card, palette)

    with menu:
        code = qr_code(link)
        if code is None:
            st.info(say("share.qr_long"), icon=":material/qr_code_2:")
        else:
            svg = code.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgid=None, omitsize=True)
            st.html(f'<div role="img" aria-label="{say("share.qr")}" class="headlight-qr">{svg}</div>')
        st.markdown(say("share.link"))
        st.code(link, language=None, wrap_lines=True)
        if any(host in link for host in ("//localhost", "//127.0.0.1", "//[::1]")):
            st.caption(say("share.local"))
        if st.session_state.get("upload") is not None:
            st.caption(say("share.own_picture"))
        if drawn:
            _button("pdf", handout, "headlight.pdf", "application/pdf")
            _button("page_html", live, "headlight.html", "text/html")
            if st.context.theme.type == "dark":
                st.caption(say("export.dark"))


def _button(name: str, make: Callable[[], bytes | str], file: str, mime: str) -> None:
    st.download_button(
        say(f"export.{name}"), make, file, mime, key=f"{file}_{name}", on_click="ignore", width="stretch"
    )


def _card() -> list[tuple[str, str]]:
    """What a reader needs to get the same numbers: of each run on the page, and of the machine."""
    rows = []
    runs: Mapping[int, tuple[str, Trace]] = {id(trace): (name, trace) for name, trace in st.session_state.ran}
    for name, trace in runs.values():
        check = trace.verify()
        dtype = str(next(session.lens(name).module.parameters()).dtype).removeprefix("torch.")
        largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
        rows += [
            (say("export.model"), name),
            (say("export.revision"), revision(name)),
            (say("export.text"), trace.text),
            (say("export.output"), trace.output or ""),
            (say("export.edits"), trace.edits.text() or say("export.no_edits")),
            (say("export.ran_on"), say("export.ran", device=trace.device, dtype=dtype)),
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
        name = session.chosen()
        rows = [(say("export.model"), name), (say("export.revision"), revision(name))]
        rows += [(say("export.check"), say("export.no_run"))]
    packages = [f"{one} {version(one)}" for one in ("torch", "transformers", "numpy", "plotly", "streamlit")]
    rows += [
        (say("export.versions"), ", ".join([f"Python {platform.python_version()}", *packages])),
        (say("export.made"), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        (say("export.link"), links.address()),
    ]
    return [(name, value) for name, value in rows if value]
