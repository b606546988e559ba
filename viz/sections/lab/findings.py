"""Published findings about attention heads: which can be seen in the chosen model, and which not."""

from __future__ import annotations

import streamlit as st

from model.lab.finding_table import all_findings
from model.lab.findings import Finding
from model.lab.resampling import Estimate
from viz.language.messages import escape_markdown, say
from viz.sections.lab import runs

MARKS = {
    True: (":green[:material/check_circle:]", "holds"),
    False: (":red[:material/cancel:]", "fails"),
    None: (":gray[:material/help:]", "unknown"),
}
ORDER = (True, False, None)


def draw(sentences: tuple[str, ...]) -> None:
    """The findings as a table, those that hold first; before, a button that checks them."""
    with st.container(horizontal=True, key="lab_findings", vertical_alignment="center"):
        st.header(say("lab.findings"), anchor=False, help=say("lab.findings_help"), width="content")
        found = runs.findings(sentences)
    if found is None:
        return
    counts = {holds: sum(one.holds is holds for one in found) for holds in ORDER}
    st.markdown(say("lab.summary", holds=counts[True], fails=counts[False], unknown=counts[None]))
    texts = {one.id: one for one in all_findings()}
    rows = sorted(found, key=lambda one: ORDER.index(one.holds))
    says = [escape_markdown(say(f"findings.{texts[one.id].text}", **texts[one.id].place)) for one in rows]
    st.table(
        {
            say("lab.verdict"): [f"{MARKS[one.holds][0]} {say(f'lab.{MARKS[one.holds][1]}')}" for one in rows],
            say("lab.finding"): says,
            say("lab.published"): [escape_markdown(_published(one)) for one in rows],
            say("lab.measured"): [_measured(one) for one in rows],
            say("lab.because"): [_why(one) for one in rows],
            say("lab.where"): [escape_markdown(one.source) for one in rows],
        },
        hide_index=True,
        alt=say("lab.findings"),
    )


def _published(one: Finding) -> str:
    return say("lab.direction") if one.published.startswith("no number") else one.published


def _measured(one: Finding) -> str:
    """The measured value with its interval, and the head that it is of."""
    if one.measured is None:
        return "–"
    text = interval(one.measured)
    return text if one.at is None else f"{text}  \n:small[{say('lab.at', layer=one.at[1], head=one.at[2])}]"


def interval(measured: Estimate) -> str:
    """A value, and the ends of its interval where it has one."""
    if measured.low != measured.low:  # NaN
        return f"**{measured.value:.2f}**"
    return f"**{measured.value:.2f}** ({measured.low:.2f} – {measured.high:.2f})"


def _why(one: Finding) -> str:
    return escape_markdown(say(f"findings.why_{one.reason}", line="" if one.line is None else f"{one.line:.2f}"))
