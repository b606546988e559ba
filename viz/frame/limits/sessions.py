"""How many browsers are connected, counted by their sessions, up to the number that the settings allow."""

from __future__ import annotations

import threading

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

_lock = threading.Lock()
_admitted: set[str] = set()


def admitted(most: int) -> bool:
    """Whether this session is one of those that use the app; a new one is where fewer than `most` are connected.

    A session whose browser left makes room at once.
    """
    context = get_script_run_ctx()
    if context is None:
        return True
    with _lock:
        _admitted.intersection_update([one for one in _admitted if is_connected(one)])
        if context.session_id not in _admitted and len(_admitted) >= most:
            return False
        _admitted.add(context.session_id)
        return True


def is_connected(session: str) -> bool:
    """Whether a session's browser is there; True where there is no server to ask, as in tests."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)
