"""The app for a class, `streamlit run server.py`: settings are checked before it listens, and browsers get rules.

Other sites cannot show the app in a frame, and its pages load and send nothing elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from model.remote.access import is_loopback
from model.settings.reading import SettingsError, read
from viz.browser.served_page import SCRIPT_AND_STYLE

# Streamlit's own page needs scripts and styles written into it; Plotly and the pages' pictures need blob: and data:.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """The response with the headers that hold for every page and file."""
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def check_settings() -> None:
    """End the program with a sentence where a setting cannot be understood."""
    try:
        read(shared=not is_loopback(st.get_option("server.address") or ""))
    except SettingsError as error:
        sys.exit(str(error))


check_settings()
app = st.App("app.py", middleware=[Middleware(BaseHTTPMiddleware, dispatch=add_headers), SCRIPT_AND_STYLE])
