"""The menu of known protein structures: those that come with the app, and a PDB or mmCIF file of one's own."""

from __future__ import annotations

import hashlib

import streamlit as st

from model.errors import InputError
from model.settings.settings import current
from model.structures.protein import KnownStructure, bundled, known_structure, plain_sequence
from model.structures.protein_files import can_read, read_chains
from viz.frame import server_state, session
from viz.language.messages import escape_markdown, say

KEY = "structure"  # of the file


def choose(text: str) -> tuple[KnownStructure, ...]:
    """Draw the menu; returns the chains of the given file, then those that come with the app. text: that is shown"""
    own, said = _given()
    chains = (*own, *bundled())
    with st.popover(say("protein.structures"), icon=":material/genetics:", key="structures"):
        for number, chain in enumerate(chains):
            label = f"{escape_markdown(chain.name)} :small[{len(chain.sequence)}]"
            st.button(label, key=f"chain_{number}", on_click=session.type_text, args=(chain.sequence,), width="stretch")
            st.caption(escape_markdown(chain.source))
        if not current().uploads:
            st.caption(f"{say('limits.uploads')} {say('limits.who')}")
        elif can_read():
            st.file_uploader(say("protein.upload"), key=KEY, max_upload_size=20, help=say("protein.upload_help"))
        else:
            st.caption(say("protein.structure_library"))
    if said:
        session.input_room().warning(said, icon=":material/upload_file:")
    elif own and known_structure(plain_sequence(text).upper(), own) is None:
        names = escape_markdown(", ".join(chain.name for chain in own))
        session.input_room().info(say("protein.structure_other", chains=names), icon=":material/info:")
    return chains


def _given() -> tuple[tuple[KnownStructure, ...], str]:
    """The chains of the given file, and what is wrong with it."""
    uploaded = st.session_state.get(KEY) if current().uploads else None
    if uploaded is None:
        return (), ""
    content, name = uploaded.getvalue(), uploaded.name
    key = ("chains", hashlib.sha256(content).hexdigest(), name)
    try:
        found = server_state.result_cache().get(
            key, lambda: read_chains(content, name), lambda made: sum(one.places.nbytes + 500 for one in made)
        )
    except InputError as error:
        return (), say(f"protein.{error.reason}")
    return found, ""
