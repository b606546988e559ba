"""Headlight: the frame. The bars at the top and the list of pages; the pages do the rest.

`streamlit run app.py` imports this file for `app`, the server, which runs it as a script for each browser.
"""

import os
from functools import partial
from pathlib import Path

# Before torch is imported: waiting threads sleep instead of spinning, which a busy machine makes ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st
from streamlit import runtime

if __name__ == "__main__" and not runtime.exists():  # `python app.py`, not `streamlit run app.py`
    import desktop

    raise SystemExit(desktop.main())

from viz.browser import served_page

HERE = Path(__file__).parent


def frame() -> None:
    """The bars, the page that the address names, and what stands below it."""
    from viz.frame.bars import first_visit

    st.set_page_config(page_title="Headlight", page_icon=HERE / "static/icon.png", layout="wide")
    room_at_first = st.empty()
    waiting = first_visit.begin(room_at_first)

    from model.memory.keyed_traces import runs_held
    from viz.frame import audience, guard, lesson_guide, links
    from viz.frame.bars import sentence_bar, top_bar
    from viz.frame.limits import policy
    from viz.frame.waits import turn_wait
    from viz.sections import uses
    from viz.widgets import edit_panel, focus, output_line, tour
    from viz.widgets.menus import change_menu, save_menu, share_menu

    audience.enter()
    if not policy.entered():  # the page says why, and is the same one once it may be entered
        st.navigation(top_bar.grouped(top_bar.pages()), position="hidden")
        first_visit.end()
        st.stop()
    audience.colours()
    top_bar.brand()
    pages = top_bar.pages()
    page = st.navigation(top_bar.grouped(pages), position="top")
    top_bar.follow_old_link(pages, page)
    st.set_page_config(page_title=f"{page.title} · Headlight")
    if waiting:  # PyTorch comes with the first run of a page, and takes a second or two: the frame shows meanwhile
        with waiting.container(key="expected_title"):
            st.title(page.title, anchor=False)
    room, share = None, st.container()
    with guard.guarded():
        links.begin_run()
        save_menu.begin_run()
        lesson_guide.apply_step(pages, page)
        uses.follow(pages, page)
        tour.follow(pages, page)
        share = top_bar.draw()
        room = sentence_bar.draw()
    top, wait = st.container(), st.empty()
    first_visit.end()
    room_at_first.empty()
    # Where a page halts it has said why; the way to undo what stopped it is still there.
    with turn_wait.told(wait):
        with guard.guarded(), runs_held(), lesson_guide.lesson_beside():
            page.run()
        for draw in (
            partial(links.finish, top),
            output_line.draw_badge,
            partial(edit_panel.panel, room),
            partial(share_menu.share_menu, share, page.title),
            focus.draw,
            change_menu.draw,
            partial(tour.draw, page.title),
        ):
            with guard.guarded():
                draw()
    audience.announce()
    st.session_state.whole = False


if __name__ == "__main__":
    frame()
else:
    app = st.App(HERE / "app.py", middleware=[served_page.SCRIPT_AND_STYLE], lifespan=served_page.shown_in_browser)
