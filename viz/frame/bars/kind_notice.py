"""One line where a text is of a kind, or of a length, that the chosen model was not made for, and a model that was."""

from __future__ import annotations

import streamlit as st

from model.catalog.entries import CATALOG
from model.catalog.store import local_folder
from model.errors import InputError
from model.structures.text_kinds import suits, text_kind
from viz.frame import session
from viz.frame.model_names import model_name, model_state
from viz.language.messages import say

# Kind of text -> the page that is made for it; a text in words is shown on the page where it was typed.
PAGES = {"protein": "protein", "reaction": "chemistry", "code": "program"}
LONG = 400  # letters of a text in words that is read on the page Reading
LETTERS = {"protein": 1, "reaction": 1}  # of a token, on average at least
OF_WORDS = 3  # the same of other kinds


def draw(text: str, halt: session.Halt | None = None) -> None:
    """Say what most of the text in the bar is, and offer a model that reads such texts; nothing where it fits.

    Args:
        halt: why the page ends, which the page has said; a text that is too long is offered to a model that reads more.
    """
    name = session.chosen_model()
    entry, error = CATALOG.get(name), halt.__cause__ if halt else None
    if entry is None:
        return
    too_long = isinstance(error, InputError) and error.reason == "text_too_long"
    is_of_kind = suits(text, entry.reads)
    if is_of_kind and not too_long:
        return
    kind = text_kind(text)
    fitting = readers(kind, text)
    if is_of_kind:
        fitting = [one for one in fitting if one != name and not _missing_tokens(one, kind, text)]
        if not fitting:
            return
    with st.container(horizontal=True, vertical_alignment="center", key="kind_notice"):
        if not is_of_kind:
            said = say("kind.notice", kind=say(f"kind.{kind}"), reads=say(f"kind.{entry.reads[0]}"))
            st.markdown(f":orange[:material/info:] {said}", width="content")
        if fitting:
            other = fitting[0]
            size = "" if local_folder(other) else f" · {model_state(other)}"
            label = say("kind.open", name=model_name(other)) + size
            page = PAGES.get(kind, "text" if len(text) > LONG else "")
            st.button(label, key="kind_open", on_click=_open, args=(other, page), type="tertiary")


def readers(kind: str, text: str) -> list[str]:
    """Models that read texts of a kind: first those that take one of this length, and of these those that are here."""
    fitting = [name for name, one in CATALOG.items() if kind in one.reads and one.takes == "text"]
    return sorted(fitting, key=lambda name: (_missing_tokens(name, kind, text), local_folder(name) is None))


def _missing_tokens(name: str, kind: str, text: str) -> int:
    """How many more tokens than a model reads a text of a kind may have."""
    return max(len(text) // LETTERS.get(kind, OF_WORDS) - CATALOG[name].longest, 0)


def _open(model: str, page: str) -> None:
    """Ask for a model, and for a page where one is made for such texts; what was typed stays. A callback."""
    st.session_state[session.REQUEST] = {"model": model} | ({"page": page} if page else {})
