"""Headlight: the frame. Page list and sidebar; the pages do the rest."""

import os
from contextlib import suppress
from pathlib import Path

# Before torch is imported: waiting threads sleep instead of spinning, which a busy machine makes ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st

from viz import audience, changes, session, sidebar
from viz.text import say

HERE = Path(__file__).parent
st.set_page_config(page_title="Headlight", page_icon=HERE / "static/icon.png", layout="wide")
audience.enter()

PAGES = (
    ("heads", "grid_view"),
    ("inside", "function"),
    ("compare", "compare"),
    ("masks", "visibility_off"),
    ("positions", "waves"),
    ("layers", "layers"),
    ("output", "edit_note"),
    ("changes", "science"),
    ("code", "code"),
)
page = st.navigation(
    [
        st.Page(f"viz/pages/{name}.py", title=say(f"{name}.title"), icon=f":material/{icon}:", default=name == "heads")
        for name, icon in PAGES
    ]
)
st.html(HERE / "assets/style.css")
room = sidebar.draw()
audience.keys()
with suppress(session.Halt):  # the page has said why; the way to undo what stopped it must still be there
    page.run()
changes.panel(room)
audience.announce()
