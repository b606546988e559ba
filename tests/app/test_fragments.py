"""Figures sent to the browser are what Plotly's validated construction would send."""

from __future__ import annotations

import json
from pathlib import Path

import plotly.graph_objects as go
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"
PAGES = ("heads", "inside", "compare", "masks", "positions", "layers", "output", "changes", "code")


@pytest.mark.parametrize("page", PAGES)
def test_plotly_finds_every_figure_valid(page: str) -> None:
    """Most are built without validation, which would take longer than drawing them."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.run()
    app.switch_page(f"viz/pages/{page}.py").run()
    assert not app.exception
    charts = app.get("plotly_chart")
    assert charts
    for chart in charts:
        spec = json.loads(chart.proto.spec)
        validated = json.loads(plotly.io.to_json(go.Figure(spec["data"], spec["layout"])))
        if not spec["layout"].get("annotations", True):  # Plotly writes an empty list as no key
            del spec["layout"]["annotations"]
        assert validated == spec, f"{page}: {spec['layout']['title']['text']}"
