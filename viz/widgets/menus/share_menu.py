"""The share menu: the link to the page with its QR code, and the page as a PDF handout or a live HTML page."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from viz.frame import links, session
from viz.frame.fragments import page_fragment
from viz.language.messages import current_language, isolate_rtl, say
from viz.saving.qr_code import qr_code
from viz.widgets.menus.run_card import input_name, page_facts
from viz.widgets.menus.save_menu import download_button


def share_menu(place: DeltaGenerator, page: str) -> None:
    """Draw the share menu in a container. page: title of the page"""
    with place:
        _menu(page)


@page_fragment
def _menu(page: str) -> None:
    """Draw the menu; its contents are made when it is opened."""
    menu = st.popover(
        say("share.title"), icon=":material/qr_code_2:", help=say("share.help"), key="share_menu", on_change="rerun"
    )
    if not menu.open:
        return
    link, palette, facts = links.current_url(), session.palette(), page_facts()
    said = "" if st.session_state.get("covered") else st.session_state.get("said", "")
    drawn = st.session_state.drawn.values()
    figures = [(one.framed(palette), one.saved_caption(said)) for one in drawn]

    trace = st.session_state.ran[0][-1] if st.session_state.ran else None
    texts = [isolate_rtl(text) for text in (input_name(trace), trace.output) if text] if trace else []
    title = f"{page}: {' → '.join(texts)}" if texts else page

    def handout() -> bytes:
        from viz.saving.handout import pdf

        return pdf(title, figures, facts, link, palette, said)

    def live_page() -> str:
        from viz.saving.handout import html_page

        return html_page(title, figures, facts, palette, current_language(), said)

    with menu, st.container(key="share_body", horizontal=True):
        with st.container(key="share_links"):
            st.markdown(say("share.link"))
            st.code(link, language=None, wrap_lines=True)
            if any(host in link for host in ("//localhost", "//127.0.0.1", "//[::1]")):
                st.caption(say("share.local"))
            if st.session_state.get("upload") is not None:
                st.caption(say("share.own_picture"))
            if figures:
                download_button("pdf", handout, "headlight.pdf", "application/pdf", "stretch")
                download_button("page_html", live_page, "headlight.html", "text/html", "stretch")
                if st.context.theme.type == "dark":
                    st.caption(say("export.dark"))
        with st.container(key="share_code"):
            code = qr_code(link)
            if code is None:
                st.info(say("share.qr_long"), icon=":material/qr_code_2:")
            else:
                st.image(
                    code.svg_inline(scale=8, border=4, dark="#000", light="#fff"), say("share.qr"), width="stretch"
                )
