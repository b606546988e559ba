"""The sidebar: model, text, output, device, and room for the panel that changes the model; all of it in the link."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import TypedDict

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.assets import ASSETS
from model.catalog.entries import CATALOG, Entry
from model.catalog.opening import device_choices
from viz.frame import audience, links, model_access, session
from viz.frame.option_row import option_row
from viz.language.messages import has_message, say


class Example(TypedDict):
    """A sentence worth trying, the families of models it is for, and the name of the text that says why."""

    text: str
    families: list[str]
    why: str


@cache
def examples() -> list[Example]:
    """The sentences of `assets/examples.toml`."""
    found: list[Example] = tomllib.loads((ASSETS / "examples.toml").read_text(encoding="utf-8"))["example"]
    return found


def draw() -> DeltaGenerator | None:
    """Model, text, translation and device: what every page works on.

    Returns:
        Room for the panel that changes the model, to be filled once the model is open; None while it is closed
        and nothing is changed.
    """
    state = st.session_state
    # A page that connects again brings its text along, and what is set here would win over that.
    if "text" not in st.query_params:
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
        entry = CATALOG.get(session.chosen_model())
        if entry:
            facts = {
                "name": entry.name,
                "family": entry.family,
                "licence": entry.licence,
                "good_for": _good_for(session.chosen_model(), entry),
                "size": entry.size,
            }
            st.caption(say("sidebar.facts", **facts))
        needed = model_access.memory_needed(session.chosen_model())
        if needed:
            st.caption(say("sidebar.memory", needed=needed))
        {"text": _pick_text, "image": _pick_picture}[model_access.input_kind()](entry)
        state.setdefault("text", examples()[0]["text"])  # models of pictures show no box for it
        device = st.empty()
        audience.choose()
        # What it holds is drawn once it is open or something is changed: the browser goes through all widgets at every
        # click.
        panel = st.expander(say("change.panel"), icon=":material/tune:", key="changing", on_change="rerun")
        with panel:
            room = st.container()
            st.text_input(say("change.text"), key="edits", help=say("change.text_help"), bind="query-params")
        # Last: it asks PyTorch, whose import takes seconds, and the browser draws all else meanwhile.
        device.selectbox(say("sidebar.device"), ["auto", *device_choices()], key="device", bind="query-params")
    return room if panel.open or state.edits else None


def _good_for(name: str, entry: Entry) -> str:
    return say(f"good_for.{name}") if has_message(f"good_for.{name}") else entry.good_for


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
            st.caption(say(f"examples.{examples()[i]['why']}"))
    if entry is None or entry.family == "encoder-decoder":
        _pick_target()


def _pick_picture(entry: Entry | None) -> None:
    state = st.session_state
    links.restore("picture", list(session.PICTURES))
    state.picture = state.picture if state.get("picture") in session.PICTURES else next(iter(session.PICTURES))
    st.pills(
        say("sidebar.picture"),
        list(session.PICTURES),
        format_func=lambda name: say(f"pictures.{name}"),
        required=True,
        key="picture",
        persist_state="session",
    )
    links.store("picture", state.picture, next(iter(session.PICTURES)))
    st.file_uploader(say("sidebar.upload"), key="upload", help=say("sidebar.upload_help"), max_upload_size=20)
    if state.get("upload") is None:
        st.image(session.PICTURES[state.picture], say(f"pictures.{state.picture}_why"))


def _pick_target() -> None:
    if option_row(say("sidebar.translation"), [session.OWN, session.FORCED], session.OWN, "whose") == session.FORCED:
        st.text_input(say("sidebar.target"), key="target", help=say("sidebar.target_help"), bind="query-params")


def _take_example() -> None:
    chosen = st.session_state.example
    if chosen is not None:
        st.session_state.text = examples()[chosen]["text"]
        st.session_state.whose = session.OWN
