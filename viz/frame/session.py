"""The session: what is cached, and what the sidebar chose."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.catalog.revisions import commit, revision
from model.errors import InputError, ModelError
from model.remote.client import RemoteModel
from model.remote.transport import backend
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Target, Trace
from viz.figures.theme import DARK, LIGHT, Palette, contrasted
from viz.frame.server_state import run, shelf
from viz.language.messages import plain, say

PICTURES = {path.stem: str(path) for path in sorted((ASSETS / "pictures").glob("*.png"))}


OWN, FORCED = "own", "forced"


_one_fetch = threading.Lock()


class Halt(Exception):  # noqa: N818  (it is no error: a sentence on the page has said why there is no more)
    """Ends a page early, but not the frame around it, as `st.stop` would."""


def fetch(name: str) -> None:
    """Bring a model's files here, with progress on the page; nothing to do where they are."""
    from model.catalog.fetching import find
    from model.catalog.store import here

    if backend() or here(name):
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


def version(name: str) -> tuple[str, str]:
    """Revision and commit of a model's weights where it runs (`model.catalog.revisions`); "" where not known."""
    if not backend():
        return revision(name), commit(name)
    try:
        found = shelf().get(name, st.session_state.device)
    except ModelError:
        return "", ""
    assert isinstance(found, RemoteModel)
    return found.revision, found.commit


def memory(name: str) -> str:
    """How much memory a model takes, as people write it; "" where that is not known before it is fetched."""
    from model.catalog.store import here
    from model.memory.fit import format_bytes, needed_memory

    entry, folder = CATALOG.get(name), here(name)
    size = needed_memory(folder) if folder else 1e6 * (entry.memory or entry.size) if entry else 0
    return format_bytes(size) if size else ""


def takes() -> str:
    """What the chosen model reads, "text" or "image", as far as that can be known before it is here."""
    from model.catalog.store import here
    from model.catalog.store import takes as read_by

    entry = CATALOG.get(chosen())
    if entry:
        return entry.takes
    folder = here(chosen())
    return read_by(folder) if folder else "text"


def given() -> str | bytes:
    """What the chosen model is to read: the text that was typed, or the picture."""
    state = st.session_state
    if lens().takes == "text":
        return str(state.text)
    uploaded = state.get("upload")
    return PICTURES[state.picture] if uploaded is None else bytes(uploaded.getvalue())


def chosen() -> str:
    """The model's name as the sidebar holds it; the first one where the box was cleared."""
    return st.session_state.model or next(iter(CATALOG))


def lens(name: str | None = None) -> Lens:
    """A model, the sidebar's where none is named; stops the page with a clear sentence where it cannot be opened."""
    name, device = name or chosen(), st.session_state.device
    try:
        fetch(name)
        with st.spinner(say("sidebar.opening")):
            found = shelf().get(name, device)
        if name == chosen():
            st.session_state.opened = (name, device)
        return found
    except ModelError as error:
        st.error(say(f"errors.model_{error.reason}", name=plain(name), detail=plain(str(error))))
        st.button(say("sidebar.again"), key="again")
        raise Halt from error


def opened() -> Lens | None:
    """The chosen model if this session has it open already; never loads one."""
    asked = (chosen(), st.session_state.device)
    return shelf().get(*asked) if st.session_state.get("opened") == asked else None


def edits(*, warn: bool = False) -> Edits:
    """What the panel changes, as far as it can be read and the chosen model has it; `warn` says what is left out."""
    return read_edits(st.session_state.get("edits", ""), opened(), warn)


def read_edits(text: str, model: Lens | None, warn: bool) -> Edits:
    """Changes written as text, as far as they can be read and a model has them; `warn` says what is left out."""
    try:
        wished = Edits.parse(text)
    except ValueError as error:
        if warn:
            st.warning(say("change.unreadable", detail=plain(str(error))), icon=":material/edit_off:")
        return Edits()
    fitting = wished if model is None else wished.fitting(model.heads)
    if fitting != wished and warn:
        left_out = len(list(wished.items())) - len(list(fitting.items()))
        st.warning(say("change.unfit", count=left_out), icon=":material/edit_off:")
    return fitting


def set_edits(edits: Edits) -> None:
    """Change the model from now on; for callbacks of widgets."""
    st.session_state.edits = edits.text()


def target() -> str | None:
    """The output that the sidebar forces, or None for the model's own."""
    forced = lens().is_pair and st.session_state.get("whose") == FORCED
    return st.session_state.get("target", "") if forced else None


def trace() -> Trace:
    """The run of what the sidebar holds; stops the page with a clear sentence where there is none."""
    lens()  # fetched and opened where its progress can be shown
    return batch((given(),), (target(),), edits=edits(warn=True))[0]


def batch(
    texts: tuple[str | bytes, ...],
    targets: tuple[Target, ...],
    box: str = "text",
    edits: Edits | None = None,
    name: str | None = None,
) -> tuple[Trace, ...]:
    """Like `trace`, for several texts at once.

    Args:
        box: where the one was typed that may be wrong; edits: none where not said.
        name: of the model; the chosen one's where not said.
    """
    number = lens(name).dtype
    with explained(box), st.spinner(say("sidebar.running"), show_time=True):
        traces = run(name or chosen(), st.session_state.device, texts, targets, edits or Edits())
    # A handout names the runs of its page.
    st.session_state.ran += [(name or chosen(), number, trace) for trace in traces]
    return traces


@contextmanager
def explained(box: str = "text") -> Iterator[None]:
    """Ends the page with a sentence where what was typed cannot be run; `box` names where it was typed."""
    try:
        yield
    except InputError as error:
        reason = error.reason.replace("text_", f"{box}_") if error.reason.startswith("text_") else error.reason
        kind = error.values.get("kind")
        values = error.values | ({"attention": say(f"kinds.{kind}_attention")} if kind else {})
        st.warning(say(f"errors.{reason}", **values), icon=":material/edit:")
        raise Halt from error


def repeat_lines(trace: Trace, name: str, exact: bool) -> str:
    """The lines of Python that repeat a trace's check outside the app.

    Args:
        name: of the model; exact: give the output's tokens instead of how they came to be.
    """
    output = trace.ids.get("decoder", ())[trace.given :] if exact else target()
    forced = "" if not output and output != "" else f", target={output!r}"
    changed = f", edits=model.Edits.parse({trace.edits.text()!r})" if trace.edits else ""
    read = trace.text if trace.picture is None or trace.text else st.session_state.upload.name
    number = lens(name).dtype
    half = "" if number == "float32" else f", dtype={number!r}"
    return (
        f"import model\n\nlens = model.load({name!r}, device={trace.device!r}{half})\n"
        f"trace = lens.trace({read!r}{forced}{changed})\nprint(trace.verify())"
    )


def palette() -> Palette:
    """The colours of the theme that the browser shows."""
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    return contrasted(theme) if st.session_state.get("projector") else theme
