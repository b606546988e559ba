"""Downloads that a page asks for: how large, then a question, then progress with Cancel; nothing is fetched unasked."""

from __future__ import annotations

import streamlit as st

from model.catalog.downloads.plan import Cancelled, Plan
from model.catalog.downloads.queue import DownloadQueue, Job
from model.catalog.entries import CATALOG, forbids_commerce
from model.catalog.fetching import bytes_here, check_room, fetch, free_bytes, plan_download
from model.errors import ModelError
from model.memory.fit import format_bytes
from viz.frame import session
from viz.frame.model_names import model_name
from viz.language.messages import escape_markdown, say

POLL_SECONDS = 0.3
_queue = DownloadQueue(fetch)  # of all sessions
# Keys of the session's state: the model whose download was agreed to, the one it was cancelled for, and the last plan.
_AGREED, _CANCELLED, _PLAN = "download_agreed", "download_cancelled", "download_plan"


def bring(name: str) -> None:
    """Fetch a model that is not here, once the reader agreed; returns when it is here.

    Raises:
        Halt: the page asks whether to fetch it, or the reader pressed Cancel.
        ModelError: it cannot be fetched; see `model.catalog.fetching`.
    """
    state = st.session_state
    job = _queue.find(name) if state.get(_CANCELLED) != name else None  # what others fetch is waited for unasked
    if job is None and state.get(_AGREED) != name:
        _ask(_planned(name))
        raise session.Halt
    _wait(job.plan if job else _planned(name))


def _planned(name: str) -> Plan:
    """What the download would bring; asked once in a session until it ends."""
    known: Plan | None = st.session_state.get(_PLAN)
    if known is None or known.name != name:
        with st.spinner(say("download.asking", name=_shown(name))):
            known = st.session_state[_PLAN] = plan_download(name)
    return known


def _ask(plan: Plan) -> None:
    """Draw the question, with the size of the download and the free space."""
    check_room(plan)
    here, size = bytes_here(plan), format_bytes(plan.size)
    said = say("download.ask", name=_shown(plan.name), size=size, free=format_bytes(free_bytes()))
    if here:
        said += " " + say("download.rest", size=format_bytes(here))
    known = {
        "name": _shown(plan.name),
        "licence": plan.licence if plan.name in CATALOG else escape_markdown(plan.licence),
    }
    with st.container(key="download"):
        if forbids_commerce(plan.licence):
            st.warning(say("sidebar.non_commercial", **known), icon=":material/gavel:")
        else:
            said += " " + say("download.licence" if plan.licence else "download.no_licence", **known)
        st.info(said, icon=":material/download:")
        label = say("download.go", size=format_bytes(plan.size - here))
        st.button(label, key="download_go", type="primary", on_click=_agree, args=(plan.name,))


def _wait(plan: Plan) -> None:
    """Draw the progress of a download until it ends. A run of the page that ends before leaves the queue."""
    place, state = st.empty(), st.session_state
    with place.container(key="download"):
        bar = st.progress(0.0)
        others = st.empty()
        st.button(say("download.cancel"), key="download_cancel", on_click=_cancel, args=(plan.name,))
    with _queue.waiting(plan) as job:
        while not job.ended.wait(POLL_SECONDS):
            bar.progress(min(job.done / max(job.total, 1), 1.0), _told(job))
            others.caption(say("download.together", count=job.waiting - 1) if job.waiting > 1 else "")
    place.empty()
    state.pop(_PLAN, None)
    if isinstance(job.error, ModelError):
        if job.error.reason != "interrupted":  # "Try again" goes on with that one, and asks anew for others
            state.pop(_AGREED, None)
        raise job.error
    state.pop(_AGREED, None)
    if isinstance(job.error, Cancelled):
        _ask(_planned(plan.name))
        raise session.Halt
    if job.error is not None:
        raise job.error


def _told(job: Job) -> str:
    """What a download does now."""
    values = {"name": _shown(job.plan.name), "done": format_bytes(job.done), "total": format_bytes(job.total)}
    if job.phase == "queued":
        return say("download.queued", others=", ".join(map(_shown, _queue.before(job))), **values)
    phase = job.phase if job.phase in ("elsewhere", "unpacking") else "running"
    return say(f"download.{phase}", **values)


def _shown(name: str) -> str:
    """A model's name as people know it, in Markdown."""
    return escape_markdown(model_name(name))


def _agree(name: str) -> None:
    st.session_state[_AGREED] = name
    st.session_state.pop(_CANCELLED, None)


def _cancel(name: str) -> None:
    """Leave a download, which ends unless others wait for it; a callback."""
    st.session_state.pop(_AGREED, None)
    job = _queue.find(name)
    if job is not None:
        _queue.leave(job)
    st.session_state[_CANCELLED] = name
