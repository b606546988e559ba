"""The cards of the page Uses: a model with an example that opens in one click, and larger ones to fetch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from model.assets import ASSETS
from model.catalog.store import local_folder
from viz.browser.resources import BROWSER
from viz.frame import lesson_guide, links, session
from viz.frame.bars import top_bar
from viz.frame.bars.sentence_bar import model_label
from viz.frame.model_names import model_name, model_state, short_licence
from viz.language.messages import escape_markdown, say

COLUMNS = 3


@cache
def uses() -> list[dict[str, Any]]:
    """The cards of `assets/uses.toml`."""
    found: list[dict[str, Any]] = tomllib.loads((ASSETS / "uses.toml").read_text(encoding="utf-8"))["use"]
    return found


def chosen_try(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model and example that a card opens: the first that is on this machine, else the first."""
    tries: list[Mapping[str, Any]] = card["try"]
    return next((one for one in tries if local_folder(one["model"])), tries[0])


def follow(pages: Mapping[str, StreamlitPage], page: StreamlitPage) -> None:
    """Go to what was clicked on Uses or Lab, or below the box, and set its model, example and head; before any widget.

    Args:
        pages: the app's pages by name; page: the one about to run.
    """
    state = st.session_state
    request: Mapping[str, Any] | None = state.get(session.REQUEST)
    if request is None:
        return
    wanted = pages[request["page"]] if "page" in request else _page_for(request["model"], pages, page)
    if page.url_path != wanted.url_path:
        st.switch_page(wanted, query_params={})
    del state[session.REQUEST]
    links.leave()
    for key in [one for one in state if one in links.HEAD or str(one).startswith("row_")]:
        del state[key]  # the model opens at its own first head, and the page at its own first token
    if "head" in request:
        state.kind, state.layer, state.head = request["head"]
    state.model = state.shown_model = request["model"]
    state.whose = session.OWN
    if "text" in request:
        state.text = request["text"]


def _page_for(model: str, pages: Mapping[str, StreamlitPage], page: StreamlitPage) -> StreamlitPage:
    """The page on screen; Heads where it is made for other texts than a model's."""
    name = next((name for name, one in pages.items() if one.url_path == page.url_path), "")
    return page if top_bar.suits(name, model) and name != "program" else pages["heads"]


def draw() -> None:
    """All cards, in rows of three."""
    st.html(BROWSER / "uses.css")
    cards = uses()
    with st.container(key="uses_cards"):
        for first in range(0, len(cards), COLUMNS):
            for column, card in zip(st.columns(COLUMNS), cards[first : first + COLUMNS], strict=False):
                with column, st.container(border=True, key=f"use_{card['name']}", height="stretch", gap="small"):
                    _card(card)


def shortcuts() -> None:
    """A button for each use whose model is here and not on screen: one click opens its example in its view.

    For a horizontal container of a page's controls, as its last element; nothing in a lesson, which leads itself.
    """
    if lesson_guide.current_step() is not None:
        return
    with st.container(horizontal=True, key="use_shortcuts", gap="small", horizontal_alignment="right"):
        for card in uses():
            name, chosen = card["name"], chosen_try(card)
            if local_folder(chosen["model"]) and chosen["model"] != session.chosen_model():
                label, about = f":material/{card['icon']}: {say(f'uses.{name}')}", say(f"uses.{name}_about")
                given = (chosen, chosen["model"])
                st.button(label, key=f"use_now_{name}", on_click=_open, args=given, type="tertiary", help=about)


def _card(card: Mapping[str, Any]) -> None:
    name, chosen = card["name"], chosen_try(card)
    st.header(f":material/{card['icon']}: {say(f'uses.{name}')}", anchor=False)
    st.markdown(say(f"uses.{name}_about"))
    label = escape_markdown(model_label(chosen["model"]))
    st.button(
        label,
        key=f"use_open_{name}",
        on_click=_open,
        args=(chosen, chosen["model"]),
        type="primary" if local_folder(chosen["model"]) else "secondary",  # what has to be fetched first stands back
        width="stretch",
    )
    others = dict.fromkeys([*(one["model"] for one in card["try"]), *card["larger"]])
    del others[chosen["model"]]
    if others:
        st.caption(say("uses.more"))
        with st.container(horizontal=True, gap="small", key=f"use_more_{name}"):
            for other in others:
                _other(card, chosen, other)
    if card.get("closed"):
        with st.popover(say("uses.closed"), icon=":material/lock:", type="tertiary", key=f"use_closed_{name}"):
            st.markdown(say("uses.closed_text"))


def _other(card: Mapping[str, Any], chosen: Mapping[str, Any], other: str) -> None:
    """The button of another model, with its size and licence; it opens with an example of its own where it has one."""
    example = next((one for one in card["try"] if one["model"] == other), chosen)
    state = f"{say('bar.here')}, {short_licence(other)}" if local_folder(other) else model_state(other)
    st.button(
        f"{escape_markdown(model_name(other))} :small[{state}]",
        key=f"use_{card['name']}_{other}",
        on_click=_open,
        args=(example, other),
        type="tertiary",
    )


def _open(example: Mapping[str, Any], model: str) -> None:
    """Ask for a model with an example; a callback."""
    st.session_state[session.REQUEST] = dict(example) | {"model": model}
