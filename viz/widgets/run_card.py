"""What can be taken along: each figure as picture, numbers or live page, and the whole page as link or handout."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import streamlit as st

from model.trace.trace import Trace
from viz.frame import links, session
from viz.language.messages import say

Run = tuple[str, str, Trace]  # the model's name, its number format, and what it computed


def _read(trace: Trace) -> str:
    """What a model read: the text, or the name of the picture's file without the folders of this computer."""
    return trace.text if trace.picture is None else Path(trace.text).name


def _facts() -> list[tuple[str, str]]:
    return card(st.session_state.ran, session.chosen(), links.address())


def card(ran: Sequence[Run], chosen: str, link: str) -> list[tuple[str, str]]:
    """What a reader needs to get the same numbers: of each run on a page, and of the machine.

    Args:
        chosen: name of the model, for a page that runs none.
    """
    rows = []
    for name, dtype, trace in {id(run[-1]): run for run in ran}.values():
        check = trace.verify()
        largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
        rows += [
            (say("export.model"), name),
            (say("export.revision"), " ".join(session.version(name)).strip()),
            (say("export.text"), _read(trace)),
            (say("export.output"), trace.output or ""),
            (say("export.edits"), trace.edits.text() or say("export.no_edits")),
            (say("export.ran_on"), say("export.ran", device=trace.device, dtype=dtype).strip(", ")),
            (
                say("export.check"),
                say(
                    "export.error",
                    error=f"{largest:.1e}",
                    tolerance=f"{check.tolerance:.0e}",
                    verdict=say("export.holds" if check.ok else "export.fails"),
                    how=check.how,
                ),
            ),
        ]
    if not rows:
        rows = [(say("export.model"), chosen), (say("export.revision"), " ".join(session.version(chosen)).strip())]
        rows += [(say("export.check"), say("export.no_run"))]
    packages = [f"{one} {version(one)}" for one in ("torch", "transformers", "numpy", "plotly", "streamlit")]
    rows += [
        (say("export.versions"), ", ".join([f"Python {platform.python_version()}", *packages])),
        (say("export.made"), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        (say("export.link"), link),
    ]
    return [(name, value) for name, value in rows if value]
