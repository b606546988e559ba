"""The app for tests without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.driving import opened
from viz.frame import server_state


@pytest.fixture
def app() -> AppTest:
    """The app on a first visit; nothing of earlier tests is cached."""
    server_state.drop_all()
    return opened()
