"""What can be taken along: each figure as picture, numbers or live page, and the whole page as link or handout."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from viz.frame import links, session
from viz.frame.fragments import alone
from viz.language.messages import isolate, say, spoken
from viz.saving.qr_code import qr_code
from viz.widgets.run_card import _facts, _read
from viz.widgets.save_menu import _button


def share(room: DeltaGenerator, page: str) -> None:
    """The menu that shares what is on screen. page: its title"""
    with room:
        _share(page)


@alone
def _share(page: str) -> None:
    menu = st.popover(
        say("share.title"), icon=":material/qr_code_2:", help=say("share.help"), key="share_menu", on_change="rerun"
    )
    if not menu.open:
        return
    link, palette, facts = links.address(), session.palette(), _facts()
    drawn = [(one.figure, one.look) for one in st.session_state.drawn.values()]

    read = st.session_state.ran[0][-1] if st.session_state.ran else None
    said = [isolate(text) for text in (_read(read), read.output) if text] if read else []
    title = f"{page}: {' → '.join(said)}" if said else page

    def handout() -> bytes:
        from viz.saving.handout import pdf

        return pdf(title, drawn, facts, link, palette)

    def live() -> str:
        from viz.saving.handout import page as made

        return made(title, drawn, facts, palette, spoken())

    with menu:
        code = qr_code(link)
        if code is None:
            st.info(say("share.qr_long"), icon=":material/qr_code_2:")
        else:
            st.image(code.svg_inline(scale=8, border=4, dark="#000", light="#fff"), say("share.qr"), width=460)
        st.markdown(say("share.link"))
        st.code(link, language=None, wrap_lines=True)
        if any(host in link for host in ("//localhost", "//127.0.0.1", "//[::1]")):
            st.caption(say("share.local"))
        if st.session_state.get("upload") is not None:
            st.caption(say("share.own_picture"))
        if drawn:
            _button("pdf", handout, "headlight.pdf", "application/pdf", "stretch")
            _button("page_html", live, "headlight.html", "text/html", "stretch")
            if st.context.theme.type == "dark":
                st.caption(say("export.dark"))
