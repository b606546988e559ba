"""Streamlit's page as it is served, with `first.js`, which runs before Streamlit's own scripts, and `style.css`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.cli_util import open_browser
from streamlit.web.server.server_util import get_display_address, get_url

from viz.browser.resources import BROWSER, script

HEAD, BODY = b"<head>", b"<body>"


class WithScriptAndStyle:
    """ASGI middleware: a page that Streamlit serves gets `first.js` and `style.css`; the rest passes unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the app does; the text of a page is changed on its way."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _may_be_page(scope["path"]):
            await self.app(scope, receive, send)
            return
        # Compressed text could not be changed, and a page that a browser holds already may be one without them.
        unwanted = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
        scope = {**scope, "headers": [one for one in scope["headers"] if one[0] not in unwanted]}
        start: Message = {}
        body = b""

        async def changed(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif not start:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    page = with_script_and_style(body)
                    headers = MutableHeaders(raw=start["headers"])
                    headers["content-length"] = str(len(page))
                    for name in ("etag", "last-modified", "accept-ranges"):  # of the file, which is another text
                        del headers[name]
                    await send(start)
                    await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, changed)


def _may_be_page(path: str) -> bool:
    """Whether Streamlit may answer a path with its page: one name below the root, without the dot of a file."""
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    name = path.strip("/").removeprefix(base).strip("/")
    return "/" not in name and "." not in name


def _is_page(start: Message) -> bool:
    """Whether an answer that begins is an HTML text."""
    kind = MutableHeaders(raw=start["headers"]).get("content-type", "")
    return start["status"] == 200 and kind.startswith("text/html")


def with_script_and_style(page: bytes) -> bytes:
    """A page's text with `first.js` as the first thing in its head and `style.css` as the first in its body.

    Streamlit adds its rules to the head, and a run its own (`st.html`) to the body's end: ours lie between the two.
    The files are read for each page, so that an edited one is there when the page is loaded again.
    """
    style = (BROWSER / "style.css").read_bytes()
    page = page.replace(HEAD, HEAD + b"<script>" + script("first").encode() + b"</script>", 1)
    return page.replace(BODY, BODY + b"<style>" + style + b"</style>", 1)


SCRIPT_AND_STYLE = Middleware(WithScriptAndStyle)


@asynccontextmanager
async def shown_in_browser(app: Any) -> AsyncIterator[None]:
    """A context that opens the app in the browser as its server starts, as `streamlit run` does for a plain script."""
    if not st.get_option("server.headless"):
        open_browser(get_url(get_display_address(st.get_option("server.address") or "localhost")))
    yield
