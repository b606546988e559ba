"""A row of buttons of which one is selected; its labels are translated, the link holds the option's id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from viz.frame import links
from viz.language.messages import has_message, say

T = TypeVar("T")


def option_label(option: object) -> str:
    """The label of an option in the page's language; a number is its own label."""
    return say(f"option.{option}") if has_message(f"option.{option}") else str(option)


def option_row(
    label: str,
    options: Sequence[T],
    default: T,
    key: str,
    *,
    name: Callable[[T], str] = option_label,
    help: str | None = None,
) -> T:
    """The selected option of a row of buttons, kept from page to page and written to the link.

    Args:
        default: selected at first; the first option where it is none of them.
        key: of the widget, and the parameter in the link.
        name: the label of an option.
    """
    default = default if default in options else options[0]
    if st.session_state.get(key, default) not in options:
        st.session_state[key] = default
    links.restore(key, options)
    chosen = st.segmented_control(
        label,
        options,
        default=default,
        required=True,
        wrap=True,
        key=key,
        format_func=name,
        help=help,
        persist_state="session",
    )
    chosen = default if chosen is None else chosen
    links.store(key, chosen, default)
    return chosen
