"""Which sentences the lab measures: held-out ones, typed ones, or those of a text file."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from model.catalog.entries import CATALOG
from model.settings.settings import current
from model.structures.samples import held_out
from viz.frame import links, session
from viz.frame.limits import policy
from viz.frame.option_row import option_row
from viz.language.messages import say

HELD_OUT, TYPED = "held_out", "typed"
COUNTS = (20, 50, 100, 200)
MOST, MOST_SHARED = 1_000, 200  # sentences of one run: alone, and where others reach the server
LONGEST = 2_000  # letters of one sentence
LONGEST_IN_LINK = 1_500  # letters of typed sentences that a link holds
MAX_MB = 1


@dataclass(frozen=True)
class Chosen:
    """The sentences of a run, and what is to be said of them.

    Attributes:
        said: why some are not among them; "" where all are.
    """

    sentences: tuple[str, ...]
    said: str = ""


def choose() -> Chosen:
    """Draw the choice of sentences in one row; for a horizontal container."""
    kinds = CATALOG[session.chosen_model()].kinds if session.chosen_model() in CATALOG else ("language",)
    bundled = held_out(kinds[0])
    options = [HELD_OUT, TYPED] if bundled else [TYPED]
    source = option_row(say("lab.source"), options, options[0], "lab_source", name=lambda one: say(f"lab.{one}"))
    if source == HELD_OUT:
        counts = [count for count in COUNTS if count < len(bundled)] + [len(bundled)]
        counts = [count for count in counts if count <= most_sentences()] or counts[:1]
        count = _pick_count(counts)
        # Spread over all of them: they stand in the order of their length.
        return Chosen(tuple(bundled[i * len(bundled) // count] for i in range(count)))
    return _typed()


def most_sentences() -> int:
    """The number of sentences that one run may have."""
    return MOST_SHARED if policy.is_known_shared() else MOST


def _pick_count(counts: list[int]) -> int:
    links.restore("lab_count", counts)
    if st.session_state.get("lab_count") not in counts:
        st.session_state.lab_count = counts[0]
    chosen = st.selectbox(
        say("lab.count"), counts, key="lab_count", label_visibility="collapsed", width=84, persist_state="session"
    )
    links.store("lab_count", chosen, counts[0])
    return int(chosen)


def _typed() -> Chosen:
    """The sentences in the box, or of the file that is given."""
    state = st.session_state
    if "lab_text" not in state:
        state.lab_text = st.query_params.get("lab_text", "")
    with st.popover(say("lab.sentences"), icon=":material/edit_note:", key="lab_typing"):
        st.text_area(say("lab.box"), key="lab_text", height=180, persist_state="session")
        if current().uploads:
            st.file_uploader(say("lab.upload"), type=["txt"], key="lab_file", max_upload_size=MAX_MB)
        else:
            st.caption(f"{say('limits.uploads')} {say('limits.who')}")
    text, said = str(state.lab_text), ""
    uploaded = state.get("lab_file") if current().uploads else None
    if uploaded is not None:
        try:
            text = bytes(uploaded.getvalue()).decode("utf-8-sig")
        except UnicodeDecodeError:
            text, said = "", say("lab.not_text")
    elif len(text) <= LONGEST_IN_LINK:
        links.store("lab_text", text, "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    short = [line for line in lines if len(line) <= LONGEST]
    most = most_sentences()
    if len(short) < len(lines):
        said = say("lab.too_long", count=len(lines) - len(short), most=LONGEST)
    if len(short) > most:
        said = say("lab.too_many", count=len(short), most=most)
    return Chosen(tuple(short[:most]), said)
