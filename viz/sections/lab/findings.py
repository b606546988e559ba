"""Published findings about attention heads: which can be seen in the chosen model, and which not."""

from __future__ import annotations

import re

import streamlit as st

from model.lab.finding_table import FindingSpec, all_findings
from model.lab.findings import Finding
from model.lab.resampling import Estimate
from viz.browser.resources import script
from viz.figures.lab import number
from viz.language.messages import escape_markdown, has_message, say
from viz.sections.lab import runs

MARKS = {
    True: (":green[:material/check_circle:]", "holds"),
    False: (":red[:material/cancel:]", "fails"),
    None: (":gray[:material/help:]", "unknown"),
}
ORDER = (True, False, None)
ASKED = "lab_check_asked"  # in the session: somebody waits for the table

_component = st.components.v2.component("headlight_into_sight", js=script("into_sight"))


def draw(sentences: tuple[str, ...]) -> None:
    """The findings as a table, those that hold first; before, a button that checks them."""
    with st.container(horizontal=True, key="lab_findings", vertical_alignment="center"):
        st.header(say("lab.findings"), anchor=False, help=say("lab.findings_help"), width="content")
        found = runs.findings(sentences)
    if found is None:
        st.session_state[ASKED] = True
        return
    counts = {holds: sum(one.holds is holds for one in found) for holds in ORDER}
    st.markdown(say("lab.summary", holds=counts[True], fails=counts[False], unknown=counts[None]))
    texts = {one.id: one for one in all_findings()}
    rows = sorted(found, key=lambda one: ORDER.index(one.holds))
    with st.container(key="lab_table"):
        st.table(
            {
                say("lab.verdict"): [_here(one) for one in rows],
                say("lab.finding"): [_says(texts[one.id]) for one in rows],
                say("lab.published"): [_published(texts[one.id]) for one in rows],
            },
            hide_index=True,
            alt=say("lab.findings"),
        )
    if st.session_state.pop(ASKED, False):
        _component(key="script_into_sight", data={"place": ".st-key-lab_findings", "comes": ".st-key-lab_table table"})


def _says(spec: FindingSpec) -> str:
    return escape_markdown(say(f"findings.{spec.text}", **spec.place))


def _published(spec: FindingSpec) -> str:
    """The published number, or that there is none, and where it stands."""
    name = f"findings.published_{spec.text}"
    if spec.published.startswith("no number"):
        told = say("lab.direction")
    elif has_message(name):
        told = say(name, share=_share(spec.published))
    else:
        told = _share(spec.published)
    return f"{escape_markdown(told)}  \n:small[{escape_markdown(spec.source)}]"


def _share(published: str) -> str:
    """The number of a published share, in percent."""
    found = re.search(r"\d?\.\d+", published)
    return f"{float(found[0]):.0%}" if found else published


def _here(one: Finding) -> str:
    """The verdict on this model, the measured value with its interval, the head that it is of, and why."""
    icon, verdict = MARKS[one.holds]
    lines = [f"{icon} **{say(f'lab.{verdict}')}**"]
    if one.measured is not None:
        place = "" if one.at is None else " · " + say("lab.at", layer=one.at[1], head=one.at[2])
        lines.append(interval(one.measured, one.unit) + place)
    return "  \n".join([*lines, f":small[{_why(one)}]"])


def interval(measured: Estimate, unit: str) -> str:
    """A value, and the ends of its interval where it has one."""
    value, low, high = (number(one, unit) for one in (measured.value, measured.low, measured.high))
    return f"**{value}**" if low == "–" else f"**{value}** ({low} – {high})"


def _why(one: Finding) -> str:
    line = "" if one.line is None else number(one.line, one.unit) if one.line else "0"
    return escape_markdown(say(f"findings.why_{one.reason}", line=line))
