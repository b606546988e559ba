"""The session: what is cached, what the sidebar chose, and what the link holds."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

import streamlit as st

from model.catalog import ASSETS, CATALOG, Entry, ModelError, devices, load
from model.edits import Edits
from model.errors import InputError
from model.layer import Layer, NoLayer
from model.libraries import run as libraries
from model.libraries.script import formula_inputs
from model.trace import Attention, Lens, Trace
from viz.figures.theme import DARK, LIGHT, Palette
from viz.text import plain, say

T = TypeVar("T")
OWN, FORCED = "own", "forced"
# One pass at a time: two would share the cores and both end later.
_one_pass = threading.Lock()
_one_fetch = threading.Lock()
_one_library = threading.Lock()


class Example(TypedDict):
    """A sentence worth trying, the families of models it is for, and why."""

    text: str
    families: list[str]
    why: str


@st.cache_data(show_spinner=False)
def examples() -> list[Example]:
    """The sentences of `assets/examples.toml`."""
    found: list[Example] = tomllib.loads((ASSETS / "examples.toml").read_text(encoding="utf-8"))["example"]
    return found


@st.cache_resource(show_spinner=False, max_entries=4)
def open_model(name: str, device: str) -> Lens:
    """The model, shared by all sessions; the one used least recently leaves when there are more than four."""
    return load(name, device)


def fetch(name: str) -> None:
    """Bring a model's files here, with progress on the page; nothing to do where they are."""
    from model.fetch import find, here

    if here(name):
        return
    with st.status(say("sidebar.fetching", name=plain(name)), expanded=True):
        bar = st.progress(0.0)

        def show(share: float, what: str) -> None:
            bar.progress(min(share, 1.0), plain(what))

        with _one_fetch:
            find(name, show)


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
            say("sidebar.model"),
            list(CATALOG),
            key="model",
            help=say("sidebar.model_help"),
            accept_new_options=True,
            bind="query-params",
        )
        entry = CATALOG.get(chosen())
        if entry:
            facts = {
                "name": entry.name,
                "family": entry.family,
                "licence": entry.licence,
                "good_for": entry.good_for,
                "size": entry.size,
            }
            st.caption(say("sidebar.facts", **facts))
        fitting = [i for i, one in enumerate(examples()) if entry is None or entry.family in one["families"]]
        if state.get("example") not in fitting:
            state.example = None
        st.selectbox(
            say("sidebar.example"),
            fitting,
            index=None,
            format_func=lambda i: examples()[i]["text"],
            placeholder=say("sidebar.example_placeholder"),
            key="example",
            on_change=_take_example,
        )
        st.text_area(say("sidebar.text"), key="text", help=say("sidebar.text_help"), height=90, bind="query-params")
        for i in fitting:
            if entry and examples()[i]["text"] == state.text:
                st.caption(examples()[i]["why"])
        if entry is None or entry.family == "encoder-decoder":
            _pick_target()
        st.selectbox(say("sidebar.device"), ["auto", *devices()], key="device", bind="query-params")


def _pick_target() -> None:
    st.segmented_control(
        say("sidebar.translation"),
        [OWN, FORCED],  # shown as they are: the link holds the words of the buttons, and must outlive a translation
        default=OWN,
        required=True,
        key="whose",
        bind="query-params",
    )
    if st.session_state.whose == FORCED:
        st.text_input(say("sidebar.target"), key="target", help=say("sidebar.target_help"), bind="query-params")


def _take_example() -> None:
    chosen = st.session_state.example
    if chosen is not None:
        st.session_state.text = examples()[chosen]["text"]
        st.session_state.whose = OWN


def chosen() -> str:
    """The model's name as the sidebar holds it; the first one where the box was cleared."""
    return st.session_state.model or next(iter(CATALOG))


def lens() -> Lens:
    """The model chosen in the sidebar; stops the page with a clear sentence where it cannot be opened."""
    name, device = chosen(), st.session_state.device
    try:
        fetch(name)
        with st.spinner(say("sidebar.opening")):
            return open_model(name, device)
    except ModelError as error:
        st.error(say(f"errors.model_{error.reason}", name=plain(name), detail=plain(str(error))))
        st.button(say("sidebar.again"), key="again")
        st.stop()


def target() -> str | None:
    """The output that the sidebar forces, or None for the model's own."""
    forced = lens().is_pair and st.session_state.get("whose") == FORCED
    return st.session_state.get("target", "") if forced else None


def trace() -> Trace:
    """The run of what the sidebar holds; stops the page with a clear sentence where there is none."""
    return batch((st.session_state.text,), (target(),))[0]


def batch(texts: tuple[str, ...], targets: tuple[str | None, ...], box: str = "text") -> tuple[Trace, ...]:
    """Like `trace`, for several texts at once; `box` names where the one was typed that may be wrong."""
    lens()  # fetched and opened where its progress can be shown
    try:
        with st.spinner(say("sidebar.running"), show_time=True):
            return run(chosen(), st.session_state.device, texts, targets, Edits())
    except InputError as error:
        st.warning(say(f"errors.{error.reason.replace('text', box)}", **error.values), icon=":material/edit:")
        st.stop()


@st.cache_resource(show_spinner=False, max_entries=50, hash_funcs={Trace: id})
def _multi_head(trace: Trace, kind: str, layer: int) -> tuple[Trace, Layer | NoLayer]:
    # The trace is kept with the result: while it lives, no other trace gets its id.
    with _one_pass:
        return trace, trace.multi_head(kind, layer)


def multi_head(trace: Trace, kind: str, layer: int) -> Layer | NoLayer:
    """The matrices of one layer of a run, found once."""
    return _multi_head(trace, kind, layer)[1]


@st.cache_resource(show_spinner=False, max_entries=50, hash_funcs={Trace: id})
def _library(trace: Trace, kind: str, layer: int, library: str, part: str) -> tuple[Trace, libraries.Run]:
    found = multi_head(trace, kind, layer)
    whole = found.inputs if part == "layer" and isinstance(found, Layer) else None
    with _one_library:
        return trace, libraries.run(library, part, vars(whole or formula_inputs(trace.attentions[kind], layer)))


def library(trace: Trace, kind: str, layer: int, library: str, part: str) -> libraries.Run:
    """What a library makes of one layer of a run: its "formula" alone or the whole "layer".

    Raises:
        LibraryError: the library is not installed or could not be run.
    """
    return _library(trace, kind, layer, library, part)[1]


def repeat_lines(trace: Trace) -> str:
    """The lines of Python that repeat a trace's check outside the app."""
    output = target()
    forced = "" if output is None else f", target={output!r}"
    return (
        f"import model\n\nlens = model.load({chosen()!r}, device={trace.device!r})\n"
        f"trace = lens.trace({trace.text!r}{forced})\nprint(trace.verify())"
    )


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
    entry: Entry | None = CATALOG.get(chosen())
    kind, layer, head = entry.opens_at if entry else (list(trace.attentions)[-1], 0, 0)
    columns = st.columns([3, 2, 4], gap="medium")
    with columns[0]:
        attention = trace.attentions[_pick("kind", list(trace.attentions), kind)]
    with columns[1]:
        layer = _pick("layer", range(attention.num_layers), layer)
    with columns[2]:
        head = _pick("head", range(attention.num_heads), head)
    return View(attention, layer, head)


def _pick(key: str, options: Sequence[T], default: T) -> T:
    """A row of buttons, exactly one of them on, kept in the link."""
    default = default if default in options else options[0]
    if st.session_state.get(key, default) not in options:
        st.session_state[key] = default
    chosen = st.segmented_control(
        say(f"pick.{key}"), options, wrap=True, default=default, required=True, key=key, bind="query-params"
    )
    return default if chosen is None else chosen
