"""The app for tests without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.driving import forget_results, opened


@pytest.fixture
def app() -> AppTest:
    """The app on a first visit; nothing of earlier tests is cached."""
    forget_results()
    return opened()


@pytest.fixture(scope="module")
def shared() -> AppTest:
    """The app that all tests of a file share which only look at pages, or put back what they change."""
    forget_results()
    return opened()
