"""The bar at the very top: its name, the groups of pages, and on the right projector mode, language and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import StreamlitPage

from model.catalog.entries import CATALOG
from model.catalog.opening import device_choices
from viz.browser.resources import script
from viz.frame import audience, links, session
from viz.language.messages import say

# Group -> its pages, each with its icon.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "see": {
        "whole": "account_tree",
        "heads": "grid_view",
        "inside": "function",
        "masks": "visibility_off",
        "positions": "waves",
        "layers": "layers",
        "text": "article",
        "program": "data_object",
        "protein": "genetics",
        "chemistry": "experiment",
        "video": "movie",
        "output": "edit_note",
    },
    "compare": {"compare": "compare", "changes": "science", "lab": "query_stats"},
    "learn": {"tour": "explore", "lessons": "school", "uses": "apps", "why": "hourglass_top"},
    "code": {"code": "code"},
}
# Pages for one kind of input: what a model takes or reads to have them in the menu.
ONLY_FOR: Mapping[str, frozenset[str]] = {
    "chemistry": frozenset({"reaction"}),
    "protein": frozenset({"protein"}),
    "video": frozenset({"image", "video"}),
}
STATIC = Path(__file__).parents[3] / "static"
_groups_open = st.components.v2.component("headlight_groups", js=script("groups_open"))
FIRST = "whole"  # the page that the bare address shows
# Address -> page, beside those of `GROUPS`: the first page's own name, and an older address of Heads.
ALIASES: Mapping[str, str] = {FIRST: FIRST, "start": "heads"}


def pages() -> dict[str, StreamlitPage]:
    """Every page by its name, in the order of the groups."""
    return {
        name: st.Page(
            f"viz/pages/{name}.py",
            title=say(f"{name}.title"),
            icon=f":material/{icon}:",
            default=name == FIRST,
            url_path="first" if name == FIRST else None,  # its own is the address of the alias below
            visibility="visible" if suits(name, session.coming_model()) else "hidden",
        )
        for group in GROUPS.values()
        for name, icon in group.items()
    }


def suits(page: str, model: str) -> bool:
    """Whether a page stands in the menu with a model: not where it is for other kinds of input than the model's."""
    entry = CATALOG.get(model)
    return page not in ONLY_FOR or entry is None or not ONLY_FOR[page].isdisjoint(entry.kinds)


def grouped(found: Mapping[str, StreamlitPage]) -> dict[str, list[StreamlitPage]]:
    """The pages under the names of their groups, as `st.navigation` takes them."""
    groups = {say(f"bar.{group}"): [found[name] for name in names] for group, names in GROUPS.items()}
    # Pages outside the menus answer at the other addresses.
    for address, name in ALIASES.items():
        alias = st.Page(f"viz/pages/{name}.py", title=found[name].title, url_path=address, visibility="hidden")
        next(iter(groups.values())).append(alias)
    return groups


def follow_old_link(found: Mapping[str, StreamlitPage], page: StreamlitPage) -> None:
    """Go to Heads where a link to the bare address names a head: Heads stood there before; before anything is drawn.

    Args:
        found: the app's pages by name; page: the one about to run.
    """
    if page.url_path == found[FIRST].url_path and links.arrives_at_head():
        st.switch_page(found["heads"], query_params={name: st.query_params.get_all(name) for name in st.query_params})


def brand() -> None:
    """The name at the left end of the bar, as a picture: its room beside the menus needs no style sheet."""
    dark = st.context.theme.type == "dark"
    st.logo(str(STATIC / f"logo-{'dark' if dark else 'light'}.svg"))


def draw() -> DeltaGenerator:
    """Projector mode, language and settings; returns the room beside them for the menu that shares the page."""
    _groups_open(key="script_groups")
    with st.container(key="top_bar", horizontal=True, vertical_alignment="center", horizontal_alignment="right"):
        with st.container(key="what", width="content"):
            st.caption(say("bar.what"))
        audience.choose()
        share = st.container(width="content")
        with st.popover(
            say("bar.settings"), icon=":material/settings:", key="settings", type="tertiary", on_change="rerun"
        ) as menu:
            # Asks PyTorch, whose import takes seconds, so only once the menu is open.
            if menu.open or "device" in st.query_params:
                st.selectbox(
                    say("sidebar.device"),
                    ["auto", *device_choices()],
                    key="device",
                    bind="query-params",
                    persist_state="session",
                )
            else:
                st.session_state.setdefault("device", "auto")
    return share
