"""One line where a text is of a kind that the chosen model was not made for, and the model that was."""

from __future__ import annotations

import streamlit as st

from model.catalog.entries import CATALOG
from model.catalog.store import local_folder
from model.structures.text_kinds import suits, text_kind
from viz.frame import session
from viz.frame.model_names import model_name, model_state
from viz.language.messages import say


def draw(text: str) -> None:
    """Say what most of the text in the bar is, and offer a model that reads such texts; nothing where it fits."""
    entry = CATALOG.get(session.chosen_model())
    if entry is None or suits(text, entry.reads):
        return
    kind = text_kind(text)
    fitting = [name for name, one in CATALOG.items() if kind in one.reads and one.takes == "text"]
    fitting.sort(key=lambda name: local_folder(name) is None)  # those that are here first
    with st.container(horizontal=True, vertical_alignment="center", key="kind_notice"):
        said = say("kind.notice", kind=say(f"kind.{kind}"), reads=say(f"kind.{entry.reads[0]}"))
        st.markdown(f":orange[:material/info:] {said}", width="content")
        if fitting:
            size = "" if local_folder(fitting[0]) else f" · {model_state(fitting[0])}"
            label = say("kind.open", name=model_name(fitting[0])) + size
            st.button(label, key="kind_open", on_click=_open, args=(fitting[0],), type="tertiary")


def _open(name: str) -> None:
    st.session_state.model = name
