"""The verification badge: the verdict on a trace's numbers, and how it was reached."""

from __future__ import annotations

import streamlit as st

from model.trace.trace import Trace
from viz.frame import model_access, session
from viz.language.messages import escape_markdown, say


def verification_badge(trace: Trace, key: str, name: str = "", *, exact: bool = False) -> None:
    """Draw whether a trace's numbers equal the stock implementation's; a click shows errors and tolerances.

    Args:
        key: suffix of the widget's key.
        name: id of the model; the chosen one by default.
        exact: the lines of Python for repeating the check give the output's token ids; by default, the chosen target.
    """
    check = trace.verify()
    colour, icon = ("green", "verified") if check.ok else ("red", "error")
    largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
    label = say("badge.ok" if check.ok else "badge.bad", error=f"{largest:.0e}")
    more = st.popover(f":{colour}[:material/{icon}: {label}]", key=f"badge_{key}", on_change="rerun")
    if not more.open:
        return
    with more:
        lines = [_where_it_ran(trace, name), say("badge.how", how=check.how, tolerance=f"{check.tolerance:.0e}")]
        for what in ("weight", "row_sum", "logit"):
            error = getattr(check, f"max_{what}_error")
            allowed = check.logit_tolerance if what == "logit" else check.tolerance
            quantity = "states" if what == "logit" and trace.logits is None else what
            lines.append(say(f"badge.{quantity}", error=f"{error:.1e}", sign=check_mark(error <= allowed)))
        lines.append(say("badge.leaked", error=f"{check.leaked_mass:.1e}", sign=check_mark(check.leaked_mass == 0)))
        st.markdown("\n\n".join([*lines, say("badge.repeat")]))
        st.code(_repeat_lines(trace, name or session.chosen_model(), exact), language="python")


def _where_it_ran(trace: Trace, name: str) -> str:
    """How many tokens were read, and on which device in which number format."""
    dtype = model_access.open_model(name or session.chosen_model()).dtype
    ran_on = trace.device if dtype == "float32" else say("export.ran", device=trace.device, dtype=dtype)
    return say("parts.ran", device=escape_markdown(ran_on), count=len(next(iter(trace.tokens.values()))))


def check_mark(holds: bool) -> str:
    """Markdown of a green tick or a red cross."""
    return ":green[:material/check:]" if holds else ":red[:material/close:]"


def _repeat_lines(trace: Trace, name: str, exact: bool) -> str:
    """The lines of Python that repeat a trace's verification outside the app; arguments as for the badge."""
    output = trace.ids.get("decoder", ())[trace.prompt_length :] if exact else model_access.forced_target()
    target = "" if not output and output != "" else f", target={output!r}"
    edits = f", edits=model.Edits.parse({trace.edits.text()!r})" if trace.edits else ""
    model_input = trace.text if trace.picture is None or trace.text else st.session_state.upload.name
    dtype = model_access.open_model(name).dtype
    dtype_argument = "" if dtype == "float32" else f", dtype={dtype!r}"
    return (
        f"import model\n\nlens = model.load({name!r}, device={trace.device!r}{dtype_argument})\n"
        f"trace = lens.trace({model_input!r}{target}{edits})\nprint(trace.verify())"
    )
