"""Figures sent to the browser are what Plotly's validated construction would send."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import plotly.io
import pytest

from tests.app.driving import PAGES, go_to, opened


@pytest.mark.parametrize("page", PAGES)
def test_plotly_finds_every_figure_valid(page: str) -> None:
    """Most are built without validation, which would take longer than drawing them."""
    app = go_to(opened(), page)
    assert not app.exception
    charts = app.get("plotly_chart")
    assert charts
    for chart in charts:
        spec = json.loads(chart.proto.spec)
        validated = json.loads(plotly.io.to_json(go.Figure(spec["data"], spec["layout"])))
        for name in ("annotations", "title"):  # Plotly writes an empty one as no key
            if not spec["layout"].get(name, True):
                del spec["layout"][name]
        assert validated == spec, f"{page}: {chart.proto.id}"
