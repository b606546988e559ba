"""The lab's work on a page: a button that begins it, its progress and its end, and its result from the cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from model.catalog.trial import check_texts
from model.lab.findings import Finding, check_findings
from model.lab.measurement import Measurement
from model.lab.measuring import measure
from model.measures.heads.head_characters import published_aligners
from model.remote.transport import backend_address
from model.turns import GivenUp
from viz.frame import links, model_access, server_state, session
from viz.frame.fragments import page_fragment
from viz.frame.shown_run.input_errors import input_errors_shown
from viz.frame.shown_run.lab_runs import Show, lab_runs
from viz.language.messages import say

FINDING_BYTES = 2_000
SHOWN = "lab_shown"  # in the link: something was measured
PACE = 1.0  # seconds between two looks at a run


def measurement(sentences: tuple[str, ...]) -> Measurement | None:
    """All heads over the sentences, with the session's changes; None until it is measured, and the page says so.

    Once something was measured the link says so, and what is chosen next, or by who follows it, begins without a click.
    """
    name, device, edits = session.chosen_model(), st.session_state.device, model_access.applied_edits(warn=True)

    def make(show: Show) -> Measurement:
        with _model(name, device, sentences) as lens:
            aligners = published_aligners(name)
            return measure(
                lens, sentences, edits=edits, aligners=aligners, progress=lambda done, total: show(done / total)
            )

    key = ("lab", name, device, sentences, edits.text())
    label = say("lab.measure", count=len(sentences))
    wanted = SHOWN in st.query_params
    found: Measurement | None = _result(key, make, lambda found: found.nbytes, label, "lab_go", wanted)
    if found is not None or wanted:
        st.session_state[SHOWN] = 1
        links.store(SHOWN, 1, 0)
    return found


def findings(sentences: tuple[str, ...]) -> list[Finding] | None:
    """The findings about the chosen model; None until they are checked, and the page says so."""
    name, device = session.chosen_model(), st.session_state.device

    def make(show: Show) -> list[Finding]:
        with _model(name, device, sentences) as lens:
            return check_findings(lens, name, sentences, progress=show)

    key = ("findings", name, device, sentences)
    return _result(key, make, lambda found: FINDING_BYTES * len(found), say("lab.check"), "lab_check", False)


def _model(name: str, device: str, sentences: tuple[str, ...]) -> Any:
    """A context with the model, which others' passes go before between the sentences."""
    if not backend_address():
        check_texts(name, sentences)
    return server_state.running_model(name, device)


def _result(
    key: Hashable, make: Callable[[Show], Any], size_of: Callable[[Any], int], label: str, widget: str, wanted: bool
) -> Any:
    """A cached result; None where there is none yet: then a button, or how far it is."""
    found = server_state.result_cache().find(key)
    if found is not None:
        return found
    run = lab_runs().find(key)
    if run is not None and run.done.done():
        lab_runs().end(key)
        with input_errors_shown():
            try:
                return run.done.result()
            except GivenUp:
                run = None
    if run is None and wanted:
        lab_runs().begin(key, make, size_of)
        run = lab_runs().find(key)
    if run is not None:
        _watch(key)
        return None
    begin, args = lab_runs().begin, (key, make, size_of)
    st.button(label, key=widget, type="primary", icon=":material/play_arrow:", on_click=begin, args=args)
    return None


def _look(key: Hashable) -> None:
    """How far a run is, with a button that stops it; the page is drawn again once it is done."""
    run = lab_runs().find(key)
    if run is None or run.done.done():
        st.rerun()
    assert run is not None
    waiting = 0 if run.begun.is_set() else lab_runs().before(run)
    with st.container(horizontal=True, vertical_alignment="center", key="lab_progress", width=420):
        told = say("lab.waits", count=waiting) if waiting else say("lab.running", share=f"{run.share:.0%}")
        st.progress(run.share, told, width=280)
        icon = ":material/stop_circle:"
        st.button(say("lab.stop"), key="lab_stop", on_click=_stop, args=(key,), icon=icon)


def _stop(key: Hashable) -> None:
    """End a run, which does not begin again by itself; a callback."""
    lab_runs().end(key)
    st.query_params.pop(SHOWN, None)


_watch = page_fragment(_look, run_every=PACE)
