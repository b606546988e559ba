"""The bar at the very top: its name, the groups of pages, and on the right projector mode, language and settings."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import StreamlitPage

from model.catalog.opening import device_choices
from viz.browser.resources import script
from viz.frame import audience
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
        "output": "edit_note",
    },
    "compare": {"compare": "compare", "changes": "science"},
    "learn": {"tour": "explore", "lessons": "school", "uses": "apps", "why": "hourglass_top"},
    "code": {"code": "code"},
}
_groups_open = st.components.v2.component("headlight_groups", js=script("groups_open"))
FIRST = "heads"  # the page that the bare address shows


def pages() -> dict[str, StreamlitPage]:
    """Every page by its name, in the order of the groups."""
    return {
        name: st.Page(
            f"viz/pages/{name}.py",
            title=say(f"{name}.title"),
            icon=f":material/{icon}:",
            default=name == FIRST,
            url_path="first" if name == FIRST else None,  # its own is the address of the alias below
        )
        for group in GROUPS.values()
        for name, icon in group.items()
    }


def grouped(found: Mapping[str, StreamlitPage]) -> dict[str, list[StreamlitPage]]:
    """The pages under the names of their groups, as `st.navigation` takes them."""
    groups = {say(f"bar.{group}"): [found[name] for name in names] for group, names in GROUPS.items()}
    # The first page has the bare address, its name's and that of older links; pages outside the menus answer there.
    for address in (FIRST, "start"):
        alias = st.Page(f"viz/pages/{FIRST}.py", title=found[FIRST].title, url_path=address, visibility="hidden")
        next(iter(groups.values())).append(alias)
    return groups


def draw() -> DeltaGenerator:
    """Projector mode, language and settings; returns the room beside them for the menu that shares the page."""
    with st.container(key="brand"):
        st.markdown("Headlight")
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
