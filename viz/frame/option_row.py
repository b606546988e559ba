"""A row of buttons with one of them on: its words are those of the page's language, the link holds the option's id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from viz.frame import links
from viz.language.messages import known, say

T = TypeVar("T")


def named(option: object) -> str:
    """What an option is called: numbers are their own name."""
    return say(f"option.{option}") if known(f"option.{option}") else str(option)


def choice(
    label: str,
    options: Sequence[T],
    default: T,
    key: str,
    *,
    name: Callable[[T], str] = named,
    help: str | None = None,
) -> T:
    """The option that is on; it follows from page to page and into the link.

    Args:
        default: where it is none of the options, the first one is on.
    """
    default = default if default in options else options[0]
    if st.session_state.get(key, default) not in options:
        st.session_state[key] = default
    links.take(key, options)
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
    links.keep(key, chosen, default)
    return chosen
