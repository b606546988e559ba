"""Pieces that several pages are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.catalog import CATALOG, Entry
from model.edits import Edits
from model.trace import Attention, Tokens, Trace
from viz import export, links, session, words
from viz.choice import choice
from viz.figures.grid import MOST_CELLS
from viz.figures.heads import MOSAIC_MARGIN
from viz.figures.theme import enlarged
from viz.text import brief, isolate, plain, say, unmarked

LARGE = 1.4  # times the letters of a figure on a projector
MANY = 40  # more tokens than this are chosen from a list, not from a row of buttons


def heading(page: str) -> None:
    """Title and first sentences of a page."""
    st.title(say(f"{page}.title"), anchor=False)
    st.markdown(say(f"{page}.intro"))


def first_look(mosaic: Any) -> None:
    """The picture of all heads, where its figure will be, until the browser has drawn that; once a session.

    The browser fetches what draws figures first: a second and more.
    """
    room = st.empty()  # also where it stays so: what stands below keeps its place
    if st.session_state.get("looked"):
        return
    st.session_state.looked = True
    left, right, top, bottom = (MOSAIC_MARGIN[side] for side in "lrtb")
    high, picture = mosaic.layout.height - top - bottom, mosaic.layout.images[0].source
    place = f"left: {left}px; top: {top}px; width: calc(100% - {left + right}px); height: {high}px"
    room.html(f'<img alt="" src="{picture}" style="{place}">')


def sentence(trace: Trace) -> None:
    """What was read, what came out, where it ran, and what the reader should know about it."""
    with st.container(border=True):
        verb = "read" if trace.picture is None else "saw"
        text = {"text": plain(brief(trace.text)), "output": plain(trace.output or "")}
        aloud(say(f"parts.{verb}_and_said" if trace.output else f"parts.{verb}", **text))
        number = session.lens().dtype
        ran_on = trace.device if number == "float32" else say("export.ran", device=trace.device, dtype=number)
        st.caption(say("parts.ran", device=ran_on, count=len(next(iter(trace.tokens.values())))))
    told(trace)


def told(trace: Trace) -> None:
    """What was changed in a run, and what the reader should know about how its text was read."""
    if trace.edits:
        with st.container(border=True):
            st.markdown(say("change.here"))
            for name, where, value in trace.edits.items():
                beyond = name == "blocked" and not _has_cell(trace, where)
                st.markdown(f"- {words.change(name, where, value)}{' ' + say('change.beyond') if beyond else ''}")
            st.button(
                say("change.undo_all"),
                key="undo_all",
                icon=":material/undo:",
                on_click=session.set_edits,
                args=(Edits(),),
            )
    for note, detail in trace.notes:
        st.info(say(f"notes.{note}", detail=plain(detail)), icon=":material/info:")


def _has_cell(trace: Trace, where: tuple[Any, ...]) -> bool:
    """Whether a run has the tokens that a forbidden cell names."""
    kind, query, key = where[:3]
    attention = trace.attentions.get(kind)
    return attention is not None and key < len(attention.keys) and (query or 0) < len(attention.queries)


def badge(trace: Trace, key: str, name: str = "", *, exact: bool = False) -> None:
    """Whether this run's numbers equal the stock implementation's; a click shows how that was checked.

    Args:
        name: of the model, if it is not the sidebar's; exact: the output was not the model's own or the sidebar's.
    """
    check = trace.verify()
    colour, icon = ("green", "verified") if check.ok else ("red", "error")
    largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
    label = say("badge.ok" if check.ok else "badge.bad", error=f"{largest:.0e}")
    more = st.popover(f":{colour}[:material/{icon}: {label}]", key=f"badge_{key}", on_change="rerun")
    if not more.open:
        return
    with more:
        lines = [say("badge.how", how=check.how, tolerance=f"{check.tolerance:.0e}")]
        for what in ("weight", "row_sum", "logit"):
            error = getattr(check, f"max_{what}_error")
            allowed = check.logit_tolerance if what == "logit" else check.tolerance
            said = "states" if what == "logit" and trace.logits is None else what
            lines.append(say(f"badge.{said}", error=f"{error:.1e}", sign=sign(error <= allowed)))
        lines.append(say("badge.leaked", error=f"{check.leaked_mass:.1e}", sign=sign(check.leaked_mass == 0)))
        st.markdown("\n\n".join([*lines, say("badge.repeat")]))
        st.code(session.repeat_lines(trace, name or session.chosen(), exact), language="python")


def sign(holds: bool) -> str:
    """A green tick or a red cross."""
    return ":green[:material/check:]" if holds else ":red[:material/close:]"


def needs_vectors(attention: Attention) -> None:
    """Stop a page that needs q, k and v, with a sentence, where the model's family does not show them."""
    if not attention.has_vectors:
        st.info(say("parts.no_vectors"), icon=":material/info:")
        raise session.Halt


def aloud(sentence: str, room: Any = st) -> None:
    """A sentence on the page, or at a place of it, that a screen reader says, too, whenever it changes."""
    room.markdown(sentence)
    st.session_state.said = unmarked(sentence)


def draw(
    figure: object,
    key: str,
    look: str,
    on_select: Callable[[], None] | None = None,
    table: export.Table | int | None = None,
) -> None:
    """A figure with a caption of what to look for, which is also what a screen reader says, and a menu to save it.

    Args:
        table: makes the numbers behind it where the figure itself does not hold them; see `export.cells`.
    """
    chart(st, figure, key, look, on_select, table)
    export.menu(key)


def chart(
    room: Any,
    figure: object,
    key: str,
    look: str,
    on_select: Callable[[], None] | None = None,
    table: export.Table | int | None = None,
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
    export.keep(figure, key, look, table)


def pick_window(attention: Attention) -> tuple[range, range] | None:
    """Where a map has more cells than are drawn: sliders for the part to see in full; None for a small map."""
    if len(attention.queries) * len(attention.keys) <= MOST_CELLS:
        return None
    st.caption(say("large.why", cells=len(attention.queries) * len(attention.keys)))
    chosen = []
    for column, side, tokens in zip(
        st.columns(2), ("rows", "columns"), (attention.queries, attention.keys), strict=True
    ):
        key = f"{side}_{attention.kind}_{len(tokens)}"
        first, last = column.slider(say(f"large.{side}"), 0, len(tokens) - 1, (0, len(tokens) - 1), key=key)
        chosen.append(range(first, last + 1))
    return chosen[0], chosen[1]


def pick_token(tokens: Tokens, label: str, key: str, start: int = 0) -> int:
    """A widget to choose one token by its place; repeated tokens stay apart.

    Returns:
        The position of the token, from 0.
    """
    places = range(len(tokens))
    if key in st.session_state and st.session_state[key] not in places:
        del st.session_state[key]
    links.take(key, places)
    default = min(start, len(tokens) - 1)
    if len(tokens) > MANY:
        chosen = st.selectbox(
            label,
            places,
            default,
            format_func=lambda i: f"{i} · {isolate(tokens.texts[i])}",
            key=key,
            persist_state="session",
        )
    else:
        chosen = st.pills(
            label,
            places,
            default=default,
            required=True,
            format_func=lambda i: f"{plain(tokens.texts[i])} :gray[:small[{i}]]",
            key=key,
            persist_state="session",
        )
    chosen = default if chosen is None else int(chosen)
    links.keep(key, chosen, default)
    return chosen


@dataclass(frozen=True)
class View:
    """Which head is being looked at."""

    attention: Attention
    layer: int
    head: int


def pick_head(trace: Trace) -> View:
    """Widgets for kind, layer and head; the choice follows from page to page and into the link."""
    columns = st.columns([3, 2, 4], gap="medium")
    with columns[0]:
        attention = pick_kind(trace)
    return View(attention, *pick_place(trace, attention, *columns[1:]))


def pick_kind(trace: Trace) -> Attention:
    """A widget for the kind of attention."""
    return trace.attentions[choice(say("pick.kind"), list(trace.attentions), opens_with(trace), "kind")]


def pick_place(trace: Trace, attention: Attention, left: DeltaGenerator, right: DeltaGenerator) -> tuple[int, int]:
    """Widgets for layer and head."""
    layer, head = opens_at(opens_with(trace))
    with left:
        layer = _number("layer", attention.num_layers, layer)
    with right:
        head = _number("head", attention.num_heads, head)
    return layer, head


def opens_with(trace: Trace) -> str:
    """The kind to show first."""
    entry: Entry | None = CATALOG.get(session.chosen())
    return entry.opens_at[0] if entry else list(trace.attentions)[-1]


def opens_at(kind: str) -> tuple[int, int]:
    """Layer and head of a kind to show first: one with a clear pattern, where the catalogue knows one."""
    entry: Entry | None = CATALOG.get(session.chosen())
    return entry.opens_at[1:] if entry and entry.opens_at[0] == kind else (0, 0)


def _number(key: str, count: int, default: int) -> int:
    """A row of buttons with numbers, kept in the link."""
    return choice(say(f"pick.{key}"), range(count), default if default < count else 0, key)
