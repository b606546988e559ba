"""The page that Streamlit serves has a script and a style sheet of ours; nothing else that it serves is changed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import streamlit

from viz.browser.resources import BROWSER
from viz.browser.served_page import WithScriptAndStyle, with_script_and_style
from viz.figures.theme import DARK, LIGHT
from viz.frame.audience import named_colours

PAGE = b"<!DOCTYPE html><html><head><title>Streamlit</title></head><body><div id='root'></div></body></html>"


def answered(path: str, kind: str, *, status: int = 200) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and text that a browser gets, where the app answers with `PAGE` in two pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(PAGE)).encode()), (b"etag", b"1")]
        assert b"accept-encoding" not in dict(scope["headers"]) or "." in path or path.count("/") > 1
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:9], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[9:]})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"accept-encoding", b"gzip")]}
    asyncio.run(WithScriptAndStyle(app)(scope, None, send))  # type: ignore[arg-type]
    return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize("path", ["/", "/heads", "/nowhere"])
def test_pages_have_script_and_style_sheet(path: str) -> None:
    headers, text = answered(path, "text/html; charset=utf-8")
    assert text == with_script_and_style(PAGE)
    assert text.index(b"<head><script>") < text.index(b"<title>")
    style = (BROWSER / "style.css").read_bytes()
    assert b"</style" not in style
    # After all that Streamlit adds to the head, before all that a run draws.
    assert b"</head><body><style>" + style + b"</style><div id='root'>" in text
    assert headers[b"content-length"] == str(len(text)).encode()
    assert b"etag" not in headers


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [("/media/live.html", "text/html", 200), ("/heads", "text/plain", 200), ("/heads", "text/html", 404)],
)
def test_all_other_answers_pass_unchanged(path: str, kind: str, status: int) -> None:
    headers, text = answered(path, kind, status=status)
    assert text == PAGE
    assert headers[b"etag"] == b"1"


def test_the_page_of_this_streamlit_has_a_place_for_both() -> None:
    served = Path(streamlit.__file__).parent / "static/index.html"
    text = with_script_and_style(served.read_bytes())
    places = [text.index(part) for part in (b"<head><script>", b"<script type=", b"--bar:", b'id="root"')]
    assert places == sorted(places)


def test_the_style_sheet_begins_with_the_colours_of_both_themes() -> None:
    blocks = re.findall(r":root {([^}]*--ink[^}]*)}", (BROWSER / "style.css").read_text(encoding="utf-8"))
    found = [dict(re.findall(r"--([\w-]+): (#\w+);", block)) for block in blocks]
    assert found == [named_colours(LIGHT), named_colours(DARK)]
