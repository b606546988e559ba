"""The facts of a page's model runs that handouts and saved figures carry: model, revision, input, check, versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import streamlit as st

from model.trace.trace import Trace
from viz.frame import links, model_access, session
from viz.language.messages import say

Run = tuple[str, str, Trace]  # id of the model, its number format, and its trace


def input_name(trace: Trace) -> str:
    """The text that a model read, or the file name of the picture or sound, without the folders of this computer."""
    return trace.text if trace.of_text else Path(trace.text).name


def page_facts() -> list[tuple[str, str]]:
    """The facts of the runs on this page, as `run_facts` returns them."""
    return run_facts(st.session_state.ran, session.chosen_model(), links.current_url())


def run_facts(runs: Sequence[Run], chosen: str, link: str) -> list[tuple[str, str]]:
    """Labels and values that a reader needs to reproduce a page: of each model run, and of the machine.

    Args:
        chosen: id of the chosen model, for a page without runs; link: to the page.
    """
    rows = []
    for name, dtype, trace in {id(run[-1]): run for run in runs}.values():
        check = trace.verify()
        largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
        rows += [
            (say("export.model"), name),
            (say("export.revision"), " ".join(model_access.weights_version(name)).strip()),
            (say("export.text"), input_name(trace)),
            (say("export.output"), trace.output or ""),
            (say("export.edits"), trace.edits.text() or say("export.no_edits")),
            (say("export.ran_on"), say("export.ran", device=trace.device, dtype=dtype).strip(", ")),
            (
                say("export.check"),
                say(
                    "export.error",
                    error=f"{largest:.1e}",
                    tolerance=f"{check.tolerance:.0e}",
                    verdict=say(f"export.{check.verdict}"),
                    how=check.how,
                ),
            ),
        ]
    if not rows:
        rows = [
            (say("export.model"), chosen),
            (say("export.revision"), " ".join(model_access.weights_version(chosen)).strip()),
            (say("export.check"), say("export.no_run")),
        ]
    packages = [f"{one} {version(one)}" for one in ("torch", "transformers", "numpy", "plotly", "streamlit")]
    rows += [
        (say("export.versions"), ", ".join([f"Python {platform.python_version()}", *packages])),
        (say("export.made"), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        (say("export.link"), link),
    ]
    return [(name, value) for name, value in rows if value]
