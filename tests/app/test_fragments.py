"""Figures sent to the browser are what Plotly's validated construction would send."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.driving import PAGES, go_to


def test_a_fragment_has_what_the_page_said() -> None:
    """The menu that saves the page is one, and puts it under the title."""

    def page() -> None:
        import streamlit as st

        from viz.frame.fragments import page_fragment

        def menu() -> None:
            st.text(st.session_state.said)

        st.session_state.language, st.session_state.said, st.session_state.whole = "en", "said by the page", True
        page_fragment(menu)()

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert [one.value for one in app.text] == ["said by the page"]


@pytest.mark.parametrize("page", PAGES)
def test_plotly_finds_every_figure_valid(shared: AppTest, page: str) -> None:
    """Most are built without validation, which would take longer than drawing them."""
    app = go_to(shared, page)
    assert not app.exception
    specs = [chart.proto.spec for chart in app.get("plotly_chart")]
    if page == "text":  # a picture of its words on the page is only saved
        specs = [one.figure.to_json() for one in app.session_state["drawn"].values()]
    assert specs
    for spec in map(json.loads, specs):
        validated = json.loads(plotly.io.to_json(go.Figure(spec["data"], spec["layout"])))
        for name in ("annotations", "title"):  # Plotly writes an empty one as no key
            if not spec["layout"].get(name, True):
                del spec["layout"][name]
        assert validated == spec, f"{page}: {spec['layout'].get('title')}"
