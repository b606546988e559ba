"""Access to the chosen model: fetching and opening it, and the session's input, target and edits as it accepts them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.catalog import store
from model.catalog.downloads.record import damage_or
from model.catalog.entries import CATALOG
from model.catalog.permission import check_allowed
from model.catalog.revisions import commit, revision
from model.errors import ModelError
from model.remote.client import RemoteModel
from model.remote.transport import backend_address
from model.settings.settings import current
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.typed_text import ModelInput
from viz.frame import guard, server_state, session
from viz.frame.limits import downloads
from viz.frame.model_names import model_name
from viz.frame.waits.opening import wait_for_model
from viz.language.messages import escape_markdown, say


def fetch_model(name: str) -> None:
    """Download a model's files, once the reader agreed, unless they are on this machine or a backend has them.

    Raises:
        Halt: the page asks first.
        ModelError: there is no such model, or the download failed.
    """
    if backend_address():
        return
    if not store.local_folder(name):
        expected = input_kind()
        downloads.bring(name)
        if input_kind() != expected:
            st.rerun()  # the input widget was drawn for text, and this model reads something else
    base = store.adapter_base(name)
    if base and not store.local_folder(base):
        check_allowed(base)
        downloads.bring(base)


def open_model(name: str | None = None) -> Lens:
    """The model with this id, opened on the chosen device; the chosen model by default.

    Raises:
        Halt: it cannot be opened, and the page says why.
    """
    name, device = name or session.chosen_model(), st.session_state.device
    try:
        check_allowed(name)
        fetch_model(name)
        model = wait_for_model(name, device)
        if name == session.chosen_model():
            st.session_state.opened = (name, device)
        return model
    except ModelError as error:
        error = damage_or(name, error)
        st.query_params.pop("revision", None)  # it was that of the model before
        show_model_error(error, name)
        raise session.Halt from error


def show_model_error(error: ModelError, name: str) -> None:
    """Say why a model cannot be had, with a button to try again. name: of the model, as it was typed"""
    known = {"name": escape_markdown(model_name(name)), "detail": escape_markdown(str(error))}
    st.error(say(f"errors.model_{error.reason}", **known))
    if error.__cause__ is not None:
        guard.details(error)
    st.button(say("sidebar.again"), key="again")


def model_if_open() -> Lens | None:
    """The chosen model if this session has opened it; None otherwise."""
    key = (session.chosen_model(), st.session_state.device)
    return server_state.model_registry().get(*key) if st.session_state.get("opened") == key else None


def weights_version(name: str) -> tuple[str, str]:
    """Revision and commit of a model's weights, "" where unknown; see `model.catalog.revisions`."""
    if not backend_address():
        return revision(name), commit(name)
    try:
        model = server_state.model_registry().get(name, st.session_state.device)
    except ModelError:
        return "", ""
    assert isinstance(model, RemoteModel)
    return model.revision, model.commit


def memory_needed(name: str) -> str:
    """The memory that a model needs, formatted such as "30 MB"; "" where unknown before its files are fetched."""
    from model.memory.fit import format_bytes, needed_memory

    entry, folder = CATALOG.get(name), store.local_folder(name)
    try:
        size = needed_memory(folder) if folder else 1e6 * (entry.memory or entry.size) if entry else 0
    except ModelError:  # said when it is opened
        return ""
    return format_bytes(size) if size else ""


def input_kind() -> str:
    """What the chosen model reads, of `Lens.takes`; "text" where that is unknown before its files are fetched."""
    entry = CATALOG.get(session.chosen_model())
    if entry:
        return entry.takes
    name = session.chosen_model()
    folder = store.local_folder(name)
    return store.input_kind(folder, name) if folder else "text"


def shown_kind() -> str:
    """As `input_kind`, but "video" also for a model of pictures that reads the frames of a clip."""
    entry = CATALOG.get(session.chosen_model())
    return "video" if entry and entry.clips else input_kind()


def shown_examples() -> dict[str, str]:
    """Files to give the chosen model, by the names of their texts: clips before pictures, where it reads both.

    Raises:
        KeyError: it reads texts.
    """
    entry = CATALOG.get(session.chosen_model())
    return session.CLIPS | session.PICTURES if entry and entry.clips else session.SHOWN[input_kind()]


def model_input() -> ModelInput:
    """The chosen model's input: the typed text or the sound with how to read it, or the path or bytes of a file."""
    state, model = st.session_state, open_model()
    if model.takes == "text":
        return session.typed_text(str(state.text), model.choices)
    uploaded = state.get("upload") if current().uploads else None
    file = shown_examples()[state.picture] if uploaded is None else bytes(uploaded.getvalue())
    return session.spoken_sound(file, model.choices) if model.takes == "sound" else file


def forced_target() -> str | None:
    """The output that the user forces on the chosen model; None for the model's own."""
    forced = open_model().is_encoder_decoder and st.session_state.get("whose") == session.FORCED
    return st.session_state.get("target", "") if forced else None


def applied_edits(*, warn: bool = False) -> Edits:
    """The edits of this session that the chosen model supports; `warn` shows a warning about those left out."""
    return parse_edits(st.session_state.get("edits", ""), model_if_open(), warn)


def parse_edits(text: str, model: Lens | None, warn: bool) -> Edits:
    """The edits written in a text, without those that a model does not support.

    Args:
        text: as `Edits.text` writes it; an unreadable one gives no edits.
        model: None keeps all of them.
        warn: show a warning about what was unreadable or left out.
    """
    try:
        requested = Edits.parse(text)
    except ValueError as error:
        if warn:
            st.warning(say("change.unreadable", detail=escape_markdown(str(error))), icon=":material/edit_off:")
        return Edits()
    supported = requested if model is None else supported_edits(requested, model)
    if supported != requested and warn:
        left_out = len(list(requested.items())) - len(list(supported.items()))
        st.warning(say("change.unfit", count=left_out), icon=":material/edit_off:")
    return supported


def supported_edits(edits: Edits, model: Lens) -> Edits:
    """The same edits without those that name what a model does not have."""
    return edits.supported_by(model.heads, model.boxes() if edits.blocks else None, model.layer_index)


def layer_numbers(kind: str) -> Sequence[int]:
    """The numbers in the model of the open model's layers with attention of a kind, as headings and edits name them."""
    lens = open_model()
    return lens.layer_index.get(kind) or range(lens.heads[kind][0] if kind in lens.heads else 0)
