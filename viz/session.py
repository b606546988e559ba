"""The session: what is cached, what the sidebar chose, and what the link holds."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar

import streamlit as st

from model.catalog import ASSETS, CATALOG, devices, load
from model.edits import Edits
from model.errors import InputError
from model.trace import Attention, Trace
from viz.figures.theme import DARK, LIGHT, Palette
from viz.text import say

if TYPE_CHECKING:
    from model.translator import Translator

T = TypeVar("T")
OWN, FORCED = "own", "mine"
# One pass at a time: two would share the cores and both end later.
_one_pass = threading.Lock()


class Example(TypedDict):
    """A sentence worth trying, and why."""

    text: str
    why: str


@st.cache_data(show_spinner=False)
def examples() -> list[Example]:
    """The sentences of `assets/examples.toml`."""
    found: list[Example] = tomllib.loads((ASSETS / "examples.toml").read_text(encoding="utf-8"))["example"]
    return found


@st.cache_resource(show_spinner=False, max_entries=4)
def open_model(name: str, device: str) -> Translator:
    """The model, shared by all sessions."""
    return load(name, device)


@st.cache_resource(show_spinner=False, max_entries=200)
def run(
    name: str, device: str, texts: tuple[str, ...], targets: tuple[str | None, ...], edits: Edits
) -> tuple[Trace, ...]:
    """The traces of a batch of texts; computed once, whoever asks and however often."""
    with _one_pass:
        return open_model(name, device).trace_batch(texts, targets, edits)


def sidebar() -> None:
    """Model, text, translation and device: what every page works on."""
    state = st.session_state
    state.setdefault("text", examples()[0]["text"])
    with st.sidebar:
        st.selectbox(
            say("sidebar.model"), list(CATALOG), format_func=lambda i: CATALOG[i].name, key="model", bind="query-params"
        )
        st.selectbox(
            say("sidebar.example"),
            range(len(examples())),
            index=None,
            format_func=lambda i: examples()[i]["text"],
            placeholder=say("sidebar.example_placeholder"),
            key="example",
            on_change=_take_example,
        )
        st.text_area(say("sidebar.text"), key="text", help=say("sidebar.text_help"), height=90, bind="query-params")
        for example in examples():
            if example["text"] == state.text:
                st.caption(example["why"])
        st.segmented_control(
            say("sidebar.translation"),
            [OWN, FORCED],
            format_func=lambda choice: say(f"sidebar.{choice}"),
            default=OWN,
            required=True,
            key="whose",
            bind="query-params",
        )
        if state.whose == FORCED:
            st.text_input(say("sidebar.target"), key="target", help=say("sidebar.target_help"), bind="query-params")
        st.selectbox(say("sidebar.device"), ["auto", *devices()], key="device", bind="query-params")


def _take_example() -> None:
    chosen = st.session_state.example
    if chosen is not None:
        st.session_state.text = examples()[chosen]["text"]
        st.session_state.whose = OWN


def lens() -> Translator:
    """The model chosen in the sidebar."""
    return open_model(st.session_state.model, st.session_state.device)


def trace() -> Trace:
    """The run of what the sidebar holds; stops the page with a clear sentence where there is none."""
    state = st.session_state
    target = state.get("target", "") if state.whose == FORCED else None
    return batch((state.text,), (target,))[0]


def batch(texts: tuple[str, ...], targets: tuple[str | None, ...]) -> tuple[Trace, ...]:
    """Like `trace`, for several texts at once."""
    try:
        with st.spinner(say("sidebar.running"), show_time=True):
            return run(st.session_state.model, st.session_state.device, texts, targets, Edits())
    except InputError as error:
        st.warning(say(f"errors.{error.reason}", **error.values), icon=":material/edit:")
        st.stop()


def palette() -> Palette:
    """The colours of the theme that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


@dataclass(frozen=True)
class View:
    """Which head is being looked at."""

    attention: Attention
    layer: int
    head: int


def pick_head(trace: Trace) -> View:
    """Widgets for kind, layer and head; the choice follows from page to page and into the link."""
    kind, layer, head = CATALOG[st.session_state.model].opens_at
    columns = st.columns([3, 2, 4], gap="medium")
    with columns[0]:
        attention = trace.attentions[_pick("kind", list(trace.attentions), kind, lambda i: say(f"kinds.{i}"))]
    with columns[1]:
        layer = _pick("layer", range(attention.num_layers), layer)
    with columns[2]:
        head = _pick("head", range(attention.num_heads), head)
    return View(attention, layer, head)


def _pick(key: str, options: Sequence[T], default: T, name: Callable[[T], str] = str) -> T:
    """A row of buttons, exactly one of them on, kept in the link."""
    if st.session_state.get(key, default) not in options:
        st.session_state[key] = default
    chosen = st.segmented_control(
        say(f"pick.{key}"), options, format_func=name, default=default, required=True, key=key, bind="query-params"
    )
    return default if chosen is None else chosen
