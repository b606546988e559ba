"""The session: what is cached, what the sidebar chose, and what the link holds."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, TypeVar

import streamlit as st

from model.catalog import ASSETS, CATALOG, Entry, ModelError, devices, load
from model.edits import Edits
from model.errors import InputError
from model.shelf import Shelf, loosened, room_for
from model.trace import Attention, Lens, Trace
from viz.figures.theme import DARK, LIGHT, Palette
from viz.text import plain, say

T = TypeVar("T")
PICTURES = {path.stem: str(path) for path in sorted((ASSETS / "pictures").glob("*.png"))}
OWN, FORCED = "own", "forced"
# One pass at a time: two would share the cores and both end later.
_one_pass = threading.Lock()
_one_fetch = threading.Lock()


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


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    """The opened models, shared by all sessions."""
    return Shelf(load, room_for, spill=run.clear)


def fetch(name: str) -> None:
    """Bring a model's files here, with progress on the page; nothing to do where they are."""
    from model.fetch import find, here

    if here(name):
        return
    expected = takes()
    with st.status(say("sidebar.fetching", name=plain(name)), expanded=True):
        bar = st.progress(0.0)

        def show(share: float, what: str) -> None:
            bar.progress(min(share, 1.0), plain(what))

        with _one_fetch:
            find(name, show)
    if takes() != expected:
        st.rerun()  # the sidebar was drawn before it could be known that this model reads pictures


@st.cache_resource(show_spinner=False, max_entries=200)
def run(
    name: str, device: str, texts: tuple[str | bytes, ...], targets: tuple[str | None, ...], edits: Edits
) -> tuple[Trace, ...]:
    """The traces of a batch of texts or pictures; computed once, whoever asks and however often."""
    with _one_pass, shelf().using(name, device) as opened:
        traces = opened.trace_batch(texts, targets, edits)
    return tuple(loosened(trace, partial(shelf().get, name, device)) for trace in traces)


def sidebar() -> None:
    """Model, text or picture, translation and device: what every page works on."""
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
        needed = memory(chosen())
        if needed:
            st.caption(say("sidebar.memory", needed=needed))
        {"text": _pick_text, "image": _pick_picture}[takes()](entry)
        st.selectbox(say("sidebar.device"), ["auto", *devices()], key="device", bind="query-params")


def memory(name: str) -> str:
    """How much memory a model takes, as people write it; "" where that is not known before it is fetched."""
    from model.fetch import amount, here, needed_memory

    entry, folder = CATALOG.get(name), here(name)
    size = needed_memory(folder) if folder else 1e6 * (entry.memory or entry.size) if entry else 0
    return amount(size) if size else ""


def takes() -> str:
    """What the chosen model reads, "text" or "image", as far as that can be known before it is here."""
    from model.fetch import here
    from model.fetch import takes as read_by

    entry = CATALOG.get(chosen())
    if entry:
        return entry.takes
    folder = here(chosen())
    return read_by(folder) if folder else "text"


def _pick_text(entry: Entry | None) -> None:
    state = st.session_state
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


def _pick_picture(entry: Entry | None) -> None:
    state = st.session_state
    state.picture = state.picture if state.get("picture") in PICTURES else next(iter(PICTURES))
    st.pills(
        say("sidebar.picture"),
        list(PICTURES),
        format_func=lambda name: say(f"pictures.{name}"),
        required=True,
        key="picture",
        bind="query-params",
    )
    st.file_uploader(say("sidebar.upload"), key="upload", help=say("sidebar.upload_help"), max_upload_size=20)
    if state.get("upload") is None:
        st.image(PICTURES[state.picture], say(f"pictures.{state.picture}_why"))


def given() -> str | bytes:
    """What the chosen model is to read: the text that was typed, or the picture."""
    state = st.session_state
    if lens().takes == "text":
        return str(state.text)
    uploaded = state.get("upload")
    return PICTURES[state.picture] if uploaded is None else bytes(uploaded.getvalue())


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
            return shelf().get(name, device)
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
    return batch((given(),), (target(),))[0]


def batch(texts: tuple[str | bytes, ...], targets: tuple[str | None, ...], box: str = "text") -> tuple[Trace, ...]:
    """Like `trace`, for several texts at once; `box` names where the one was typed that may be wrong."""
    lens()  # fetched and opened where its progress can be shown
    try:
        with st.spinner(say("sidebar.running"), show_time=True):
            return run(chosen(), st.session_state.device, texts, targets, Edits())
    except InputError as error:
        st.warning(say(f"errors.{error.reason.replace('text', box)}", **error.values), icon=":material/edit:")
        st.stop()


def repeat_lines(trace: Trace) -> str:
    """The lines of Python that repeat a trace's check outside the app."""
    output = target()
    forced = "" if output is None else f", target={output!r}"
    read = trace.text if trace.picture is None or trace.text else st.session_state.upload.name
    return (
        f"import model\n\nlens = model.load({chosen()!r}, device={trace.device!r})\n"
        f"trace = lens.trace({read!r}{forced})\nprint(trace.verify())"
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
