"""Headlight: the frame. Page list and sidebar; the pages do the rest."""

import os
from pathlib import Path

# Before torch is imported: waiting threads sleep instead of spinning, which a busy machine makes ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st

from viz import session
from viz.text import say

HERE = Path(__file__).parent
st.set_page_config(page_title="Headlight", page_icon=HERE / "static/icon.png", layout="wide")

PAGES = (
    ("heads", "grid_view"),
    ("inside", "function"),
    ("masks", "visibility_off"),
    ("positions", "waves"),
    ("layers", "layers"),
    ("code", "code"),
)
page = st.navigation(
    [
        st.Page(f"viz/pages/{name}.py", title=say(f"{name}.title"), icon=f":material/{icon}:", default=name == "heads")
        for name, icon in PAGES
    ]
)
st.html(HERE / "assets/style.css")
session.sidebar()
page.run()
