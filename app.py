"""Headlight: the frame. Page list and sidebar; the pages do the rest."""

import os
from contextlib import suppress
from pathlib import Path

# Before torch is imported: waiting threads sleep instead of spinning, which a busy machine makes ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st
from streamlit import runtime

if __name__ == "__main__" and not runtime.exists():  # `python app.py`, not `streamlit run app.py`
    import desktop

    raise SystemExit(desktop.main())

from viz import first_visit

HERE = Path(__file__).parent
st.set_page_config(page_title="Headlight", page_icon=HERE / "static/icon.png", layout="wide")
st.html(HERE / "assets/style.css")
room_at_first = st.empty()
waiting = first_visit.begin(room_at_first)

from viz import audience, changes, export, lessons, links, session, sidebar
from viz.text import say

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
    ("why", "hourglass_top"),
    ("lessons", "school"),
)
pages = {
    name: st.Page(
        f"viz/pages/{name}.py", title=say(f"{name}.title"), icon=f":material/{icon}:", default=name == "heads"
    )
    for name, icon in PAGES
}
page = st.navigation(list(pages.values()))
if waiting:  # PyTorch comes with the sidebar, and takes a second or two: the frame shows meanwhile
    waiting.title(page.title, anchor=False)
links.begin()
export.begin()
lessons.enter(pages, page)
room = sidebar.draw()
top = st.container()
first_visit.end()
room_at_first.empty()
audience.keys()
with suppress(session.Halt), lessons.guide():  # the page has said why; the way to undo what stopped it is still there
    page.run()
links.settle(top)
changes.panel(room)
export.share(top, page.title)
audience.announce()
st.session_state.whole = False
