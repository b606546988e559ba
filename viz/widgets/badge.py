"""Pieces that several pages are made of."""

from __future__ import annotations

import streamlit as st

from model.trace.trace import Trace
from viz.frame import session
from viz.language.messages import say


def badge(trace: Trace, key: str, name: str = "", *, exact: bool = False) -> None:
    """Whether this run's numbers equal the stock implementation's; a click shows how that was checked.

    Args:
        name: of the model, if it is not the sidebar's; exact: the output was not the model's own or the sidebar's.
    """
    check = trace.verify()
    colour, icon = ("green", "verified") if check.ok else ("red", "error")
    largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
    label = say("badge.ok" if check.ok else "badge.bad", error=f"{largest:.0e}")
    more = st.popover(f":{colour}[:material/{icon}: {label}]", key=f"badge_{key}", on_change="rerun")
    if not more.open:
        return
    with more:
        lines = [say("badge.how", how=check.how, tolerance=f"{check.tolerance:.0e}")]
        for what in ("weight", "row_sum", "logit"):
            error = getattr(check, f"max_{what}_error")
            allowed = check.logit_tolerance if what == "logit" else check.tolerance
            said = "states" if what == "logit" and trace.logits is None else what
            lines.append(say(f"badge.{said}", error=f"{error:.1e}", sign=sign(error <= allowed)))
        lines.append(say("badge.leaked", error=f"{check.leaked_mass:.1e}", sign=sign(check.leaked_mass == 0)))
        st.markdown("\n\n".join([*lines, say("badge.repeat")]))
        st.code(session.repeat_lines(trace, name or session.chosen(), exact), language="python")


def sign(holds: bool) -> str:
    """A green tick or a red cross."""
    return ":green[:material/check:]" if holds else ":red[:material/close:]"
