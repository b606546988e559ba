"""The guard around the parts of a page: whatever is raised in one becomes a sentence on the page."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import streamlit as st

from model.errors import is_failure, is_out_of_memory
from model.remote.access import is_loopback
from viz.frame import session
from viz.frame.limits import policy
from viz.language.messages import say

_log = logging.getLogger("headlight")


@contextmanager
def guarded(what: str = "page") -> Iterator[None]:
    """A context that ends quietly on `Halt`, and turns any failure into a sentence on the page.

    Args:
        what: of the sentence: "page", or "pass" for a run of the model.
    """
    try:
        yield
    except session.Halt:  # the page has said why
        return
    except BaseException as error:
        report_failure(error, what)


def report_failure(error: BaseException, what: str) -> None:
    """As `report`; raises again what is no failure but ends a page or its run.

    Errors of libraries have no common class, and a panic of Rust code is no Exception. Streamlit ends a run by
    exceptions of its own.
    """
    if isinstance(error, session.Halt) or not is_failure(error):
        raise error
    report(error, what)


def report(error: BaseException, what: str = "page") -> None:
    """Say on the page that something failed, and write the details into the server's log. what: as for `guarded`"""
    _log.error("The %s failed.", what, exc_info=error)
    reason = "memory" if is_out_of_memory(error) else "deep" if isinstance(error, RecursionError) else what
    st.error(say(f"errors.failed_{reason}"), icon=":material/error:")
    details(error)


def details(error: BaseException) -> None:
    """Draw the details of an error behind a click, for who runs this server alone; nothing for others."""
    if not details_allowed():
        return
    with st.expander(say("errors.details"), icon=":material/bug_report:"):
        st.code("".join(traceback.format_exception(error))[-20_000:], language="text", wrap_lines=True)


def details_allowed() -> bool:
    """Whether the reader of this page may see details: server and browser are on one computer, with no proxy between.

    A proxy on this computer, such as nginx, asks for visitors from elsewhere; it names itself or the host they asked.
    """
    asked = urlsplit(f"//{st.context.headers.get('Host') or 'localhost'}")
    return not policy.is_shared() and is_loopback(asked.hostname or "")
