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

from viz.frame import first_visit

HERE = Path(__file__).parent
st.set_page_config(page_title="Headlight", page_icon=HERE / "static/icon.png", layout="wide")
st.html(HERE / "viz/browser/style.css")
room_at_first = st.empty()
waiting = first_visit.begin(room_at_first)

from viz.frame import audience, edit_panel, lesson_guide, links, session, sidebar
from viz.language.messages import say
from viz.widgets import save_menu, share_menu

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
links.begin_run()
save_menu.begin_run()
lesson_guide.apply_step(pages, page)
room = sidebar.draw()
top = st.container()
first_visit.end()
room_at_first.empty()
audience.keys()
# Where a page halts it has said why; the way to undo what stopped it is still there.
with suppress(session.Halt), lesson_guide.lesson_beside():
    page.run()
links.finish(top)
edit_panel.panel(room)
share_menu.share_menu(top, page.title)
audience.announce()
st.session_state.whole = False
