"""The settings of this server, read when its first page is asked for, and what a page says of what they forbid."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import streamlit as st

from model.memory.fit import format_bytes
from model.remote.access import is_loopback
from model.settings import settings
from model.settings.reading import SettingsError, read
from viz.frame.limits import sessions
from viz.language.messages import escape_markdown, say

# Which proxies add, such as nginx: it listens on this computer, and its visitors come from elsewhere.
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via")

_log = logging.getLogger("headlight")
_lock = threading.Lock()
_read_as: bool | None = None  # whether the settings in force are those of a shared server; None before they were read


def entered() -> bool:
    """Whether this browser may use the app; otherwise the page says why.

    Reads the settings in the first run on this server, and again when it turns out that others reach it.
    """
    shared = is_shared()
    try:
        _read_once(shared)
    except SettingsError as error:
        _log.error("%s", error)
        detail = escape_markdown(str(error))
        st.error(say("limits.wrong") if shared else say("limits.wrong_here", detail=detail), icon=":material/tune:")
        return False
    most = settings.current().sessions
    if most is not None and not sessions.admitted(most):
        st.warning(say("limits.full", count=most), icon=":material/groups:")
        st.button(say("limits.again"), key="limits_again")
        return False
    return True


def _read_once(shared: bool) -> None:
    """Install the settings; those of a shared server stay, whoever comes next."""
    global _read_as
    with _lock:
        if _read_as is None or (shared and not _read_as):
            settings.install(read(shared=shared))
            _read_as = shared


def is_shared() -> bool:
    """Whether other computers reach this server: by its address, or through a proxy that this visitor came by."""
    return not is_loopback(st.get_option("server.address") or "") or came_by_proxy(st.context.headers)


def is_known_shared() -> bool:
    """As `is_shared`, of any visitor so far: for work that belongs to no visitor."""
    return bool(_read_as) or not is_loopback(st.get_option("server.address") or "")


def came_by_proxy(headers: Mapping[str, str]) -> bool:
    """Whether a proxy stands between this server and a visitor."""
    return any(headers.get(name) for name in PROXY_HEADERS)


def sentence() -> str:
    """What this server does not allow, and who can change it; "" where everything is allowed."""
    now = settings.current()
    said = []
    if now.catalogue_only():
        said.append(say("limits.catalogue"))
    elif not {"hub", "folders"} <= set(now.models):
        said.append(say("limits.some"))
    if now.largest_model is not None:
        said.append(say("limits.model", size=format_bytes(now.largest_model)))
    if now.largest_download is not None:
        said.append(say("limits.download", size=format_bytes(now.largest_download)))
    if now.tokens_per_text is not None:
        said.append(say("limits.tokens", count=now.tokens_per_text))
    if not now.uploads:
        said.append(say("limits.uploads"))
    return " ".join([*said, say("limits.who")]) if said else ""
