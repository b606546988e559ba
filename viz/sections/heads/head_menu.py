"""The menu beside the large head: changes to that head, and tokens that may not be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from model.trace.attention import Attention
from model.trace.edits import Cell, Edits, Head
from model.trace.trace import Trace
from viz.frame import model_access, session
from viz.frame.fragments import page_fragment
from viz.language.messages import escape_markdown, isolate_rtl, say
from viz.widgets import pickers
from viz.widgets.menus import change_menu


@page_fragment
def draw(trace: Trace, attention: Attention) -> None:
    """The menu, which acts on the head and row shown when it is opened; nothing where no head can be changed."""
    if st.session_state.pop("head_menu_changed", False):
        st.rerun()  # not this menu alone
    model = model_access.model_if_open()
    if model is None or not model.heads:
        return
    menu = st.popover(
        say("head_menu.open"),
        icon=":material/tune:",
        key="head_menu",
        on_change="rerun",
        type="tertiary",
        help=say("head_menu.help"),
    )
    if not menu.open:
        return
    layer, head = pickers.chosen_head(trace, attention)
    place = (attention.kind, attention.layer_index[layer], head)
    with menu:
        st.markdown(f"**{say('head_menu.head', layer=place[1], head=head)}**")
        _head_part(place, model_access.applied_edits())
        if attention is trace.attentions[attention.kind]:  # not merged into words
            _token_part(attention, layer, head, pickers.chosen_row(attention))


def _head_part(place: Head, edits: Edits) -> None:
    """Buttons that change one head."""
    with st.container(horizontal=True, gap="small"):
        for name in ("mute", "double", "alike"):
            changed = change_menu.with_head_change(edits, name, place)
            _button(name, changed, disabled=changed == edits)
    st.text_input(say("head_menu.copy_label"), st.session_state.get("text", ""), key="head_menu_text")
    with st.container(horizontal=True, gap="small"):
        st.button(say("head_menu.copy"), key="head_menu_copy", on_click=_copy, args=(place,))
        back = change_menu.with_head_change(edits, "undo", place)
        _button("undo", back, disabled=back == edits)


def _token_part(attention: Attention, layer: int, head: int, row: int) -> None:
    """Buttons that forbid a token, for all or for the row in focus."""
    kind, names = attention.kind, attention.keys
    start = row if kind != "cross" else int(np.argmax(attention.row(layer, row)[head]))
    key = st.selectbox(
        say("head_menu.token"),
        range(len(names)),
        start,
        format_func=lambda i: isolate_rtl(names.name(i)),
        key=f"head_menu_token_{kind}_{row}_{len(names)}",
    )
    query = escape_markdown(attention.queries.name(row))
    with st.container(horizontal=True, gap="small"):
        for name, cell in (("forbid", (kind, None, key)), ("forbid_one", (kind, row, key))):
            _forbid_button(name, cell, query=query)
        number = attention.layer_index[layer]
        _forbid_button("forbid_layer", (kind, None, key, number), layer=number)


def _button(name: str, edits: Edits, *, disabled: bool = False, **values: object) -> None:
    """A button that sets the edits."""
    label = say(f"head_menu.{name}", **values)
    st.button(label, key=f"head_menu_{name}", on_click=_change, args=(edits,), disabled=disabled)


def _forbid_button(name: str, cell: Cell, **values: object) -> None:
    """A button that forbids one cell, or a whole column."""
    edits = model_access.applied_edits()
    _button(name, replace(edits, blocked={*edits.blocked, cell}), disabled=cell in edits.blocked, **values)


def _change(edits: Edits) -> None:
    """Set the edits, close the menu, and have the whole page drawn, which shows another run now; a callback."""
    session.set_edits(edits)
    st.session_state.head_menu, st.session_state.head_menu_changed = False, True


def _copy(place: Head) -> None:
    """Give a head its pattern of the sentence in the box; a callback."""
    text = st.session_state.head_menu_text.strip()
    if text:
        _change(change_menu.with_head_change(model_access.applied_edits(), "copy", place, text))
