"""The verification badge: the verdict on the numbers of a page, and how it was reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import streamlit as st

from model.trace.check import PROVED, REPEATED, WRONG, Check, Part
from model.trace.trace import Trace
from model.trace.typed_text import SpokenSound, TypedText
from viz.frame import checks, model_access, session
from viz.frame.fragments import page_fragment
from viz.language.messages import escape_markdown, say
from viz.saving import tables
from viz.widgets import page_check

SIGNS = {PROVED: ("green", "verified"), REPEATED: ("gray", "repeat"), WRONG: ("red", "error")}
EXACT = ("tokens", "labels", "layers", "words")  # parts that are right or wrong
MOST_NAMED = 2  # parts in the badge's label
WAITS = [1, 1, 2, 3, 5, 8]  # seconds after which the browser asks again for a check, the last of them again and again
_later = st.components.v2.component(
    "headlight_later",
    js="""export default ({ data, setTriggerValue }) => {
  const timer = setTimeout(() => setTriggerValue("again", data.number), 1000 * data.seconds)
  return () => clearTimeout(timer)
}""",
)


@page_fragment
def verification_badge(trace: Trace, key: str, name: str = "", *, exact: bool = False) -> None:
    """Draw whether a page's numbers equal an independent run's; a click shows errors and tolerances, part by part.

    Args:
        key: suffix of the widget's key.
        name: id of the model; the chosen one by default.
        exact: the lines of Python for repeating the check give the output's token ids; by default, the chosen target.
    """
    check = page_check.page_check(trace)
    if check is None:
        _ask_again(key)
        return
    colour, icon = SIGNS[check.verdict]
    if check.verdict == PROVED and check.uncompared:
        icon = "rule"  # a tick would stand for all of it
    more = st.popover(f":{colour}[:material/{icon}: {_label(check)}]", key=f"badge_{key}", on_change="rerun")
    if not more.open:
        return
    with more:
        how = "how" if check.independent else "repetition"
        lines = [_where_it_ran(trace, name), say(f"badge.{how}", how=check.how, tolerance=f"{check.tolerance:.0e}")]
        if check.rounding is not None:
            dtype = model_access.open_model(name or session.chosen_model()).dtype
            lines.append(say("badge.rounding", error=f"{check.rounding:.1e}", format=dtype))
        drawn = [part_name(part, trace) for part in check.parts if part.name in page_check.drawn_names()]
        if drawn:
            lines.append(say("badge.covers", parts=", ".join(dict.fromkeys(drawn))))
        if check.uncompared:
            lines.append(
                say("badge.uncompared", parts=", ".join(say(f"badge.part_{name}") for name in check.uncompared))
            )
        lines.append("  \n".join(_part_line(part, trace) for part in check.parts))
        if key == "page" and (unread := page_check.unread_titles()):
            lines.append(
                say("badge.unread", titles=", ".join(escape_markdown(tables.label_text(one)) for one in unread))
            )
        st.markdown("\n\n".join([*lines, say("badge.repeat")]))
        st.code(_repeat_lines(trace, name or session.chosen_model(), exact), language="python")


def _ask_again(key: str) -> None:
    """Draw that the check waits for its turn, and have the browser ask again, less and less often. key: of the badge"""
    state = st.session_state
    since = state.checks_since = 0 if state.whole else state.get("checks_since", 0) + 1
    state.checks_asked = state.get("checks_asked", 0) + 1  # the browser acts on what it has not seen
    st.markdown(f":gray[:material/hourglass_empty: {say('badge.waiting')}]")
    wait = {"number": state.checks_asked, "seconds": WAITS[min(since, len(WAITS) - 1)]}
    _later(key=f"script_later_{key}", data=wait, on_again_change=_nothing)


def _nothing() -> None:
    """The badge is drawn again, as its fragment runs for the event."""


def alarm(trace: Trace, keys: tuple[str, ...], place: Any) -> None:
    """Say beside figures that were drawn without the rest of the page where they are not those of the run."""
    if st.session_state.whole or checks.find_check(trace) is None:  # the page's badge looks at them, now or later
        return
    wrong = [part for part in page_check.drawn_parts(trace, keys) if not part.ok]
    if wrong:
        place.markdown(f":red[:material/error: {say('badge.wrong', parts=say('badge.part_drawn'))}]")


def _label(check: Check) -> str:
    """The badge's words: the verdict, with the largest error or with what is wrong."""
    if check.verdict == WRONG:
        return say("badge.wrong", parts=_names(part.name for part in check.wrong_parts) or say("badge.part_weights"))
    if check.verdict == PROVED and check.uncompared:
        return say("badge.proved_but", parts=_names(check.uncompared))
    largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
    return say(f"badge.{check.verdict}", error=f"{largest:.0e}")


def _names(names: Iterable[str]) -> str:
    """The words for some parts, of many the first."""
    found = [*dict.fromkeys(say(f"badge.part_{name}") for name in names)]
    return ", ".join(found[:MOST_NAMED]) + (" …" if len(found) > MOST_NAMED else "")


def part_name(part: Part, trace: Trace) -> str:
    """The words for a part of a check."""
    return say("badge.part_answer" if part.name == "logits" and trace.logits is None else f"badge.part_{part.name}")


def _part_line(part: Part, trace: Trace) -> str:
    """A part of the check with its error and its limit."""
    name, sign = part_name(part, trace), check_mark(part.ok)
    if part.where and not part.ok:
        name = say("badge.place", part=name, place=escape_markdown(part.where))
    if part.name in EXACT:
        return say("badge.exact", sign=sign, part=name, share=f"{part.error:.0%}")
    return say("badge.part", sign=sign, part=name, error=f"{part.error:.1e}", limit=f"{part.limit:.0e}")


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
    model_input = trace.text if trace.of_text or trace.text else st.session_state.upload.name
    lens = model_access.open_model(name)
    reading = {"text": session.typed_text, "sound": session.spoken_sound}.get(lens.takes)
    read = reading(trace.text, lens.choices) if reading else trace.text
    how = "".join(
        f", {one.name}={getattr(read, one.name)!r}"
        for one in (fields(read) if isinstance(read, (TypedText, SpokenSound)) else ())
        if one.name not in ("text", "sound") and getattr(read, one.name) != one.default
    )
    dtype = lens.dtype
    dtype_argument = "" if dtype == "float32" else f", dtype={dtype!r}"
    return (
        f"import model\n\nlens = model.load({name!r}, device={trace.device!r}{dtype_argument})\n"
        f"trace = lens.trace({model_input!r}{target}{edits}{how})\nprint(trace.verify())"
    )
