"""What was measured of the run on the page on screen, as it was claimed for the page's check."""

from __future__ import annotations

import streamlit as st

from model.trace.check import Probe


def probe(name: str) -> Probe | None:
    """What was measured on this page under a name, which the page's check compares with passes of their own."""
    _, found = st.session_state.get("claims", {}).get(name, (None, None))
    return found if isinstance(found, Probe) else None
