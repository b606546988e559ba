"""The link: what is looked at as parameters of the address, also where Streamlit's own binding does not reach.

A bound widget writes the words of its options into the link. Where those are labels (a token, a translated name), the
widget is not bound but goes through `take` and `keep`, which write ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from viz.frame import session
from viz.language.messages import plain, say

# Also in a shared link where they are as they start: they may start otherwise in another version.
ALWAYS = ("model", "text", "kind", "layer", "head")
SELF = {"revision", "lesson", "lesson_step", "language", "projector"}  # whose own sentences say what they could not do
_ARRIVED, _KEPT, _OWN, _SAID = "link_arrived", "link_kept", "link_own", "link_said"


def begin() -> None:
    """Remember the link that opened this session; at the beginning of each run."""
    state = st.session_state
    if _ARRIVED not in state:
        state[_ARRIVED] = {name: st.query_params.get_all(name) for name in st.query_params}
    state[_KEPT] = set()
    state.setdefault(_OWN, set())


def take(key: str, options: Sequence[Any], *, many: bool = False) -> None:
    """Set a widget that is about to be drawn to what the link says, as long as nobody has touched it.

    Args:
        options: what may be chosen; the link holds their `str`.
        many: for a widget with a list of values.
    """
    if key in st.session_state or key not in st.query_params:
        return
    known = {str(option): option for option in options}
    found = [known[text] for text in st.query_params.get_all(key) if text in known]
    if found:
        st.session_state[key] = found if many else found[-1]


def keep(key: str, value: Any, default: Any) -> None:
    """Write what a widget holds into the link; what it holds anyway is left out."""
    texts = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    st.session_state[_KEPT].add(key)
    st.session_state[_OWN].add(key)
    if value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != texts:
        st.query_params[key] = texts


def settle(room: DeltaGenerator) -> None:
    """After a page was drawn to its end: forget what is not on it, and say what the link asked for in vain."""
    state = st.session_state
    if not state.drawn:  # nothing could be shown yet: what the link asks for still stands
        return
    unknown = {name for name in state[_ARRIVED] if name not in state}
    for key in (state[_OWN] | unknown) - state[_KEPT] - SELF:
        st.query_params.pop(key, None)
    found = short(session.version(session.chosen())[0])
    keep("revision", found, "")
    if state[_ARRIVED]:
        state[_SAID] = _in_vain(state[_ARRIVED], found)
        state[_ARRIVED] = {}
    if state.get(_SAID):
        with room:
            for sentence in state[_SAID]:
                st.warning(sentence, icon=":material/link_off:")
            st.button(say("share.understood"), key="link_understood", on_click=state.pop, args=(_SAID,))


def _in_vain(arrived: dict[str, list[str]], found: str) -> list[str]:
    """Sentences on what of a link could not be followed. found: the revision that is here"""
    sentences = []
    left_out = [
        say("share.part", name=plain(name), value=plain(", ".join(texts)[:60]))
        for name, texts in arrived.items()
        if name not in SELF and not _taken(name, texts)
    ]
    if left_out:
        sentences.append(say("share.left_out", parts=", ".join(left_out)))
    wanted = arrived.get("revision", [found])[-1]
    if wanted != found:
        sentences.append(say("share.other_revision", wanted=plain(wanted), found=plain(found)))
    return sentences


def _taken(name: str, texts: list[str]) -> bool:
    """Whether a widget holds what the link asked for."""
    value = st.session_state.get(name)
    if value is None:
        return False
    values = value if isinstance(value, list) else [value]
    texts = texts if isinstance(value, list) else texts[-1:]
    return len(values) == len(texts) and all(map(_same, values, texts))


def _same(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, (int, float)):
        try:
            return math.isclose(float(text), value)
        except ValueError:
            return False
    return str(value) == text


def short(revision: str) -> str:
    """A revision as a link holds it: enough letters to tell versions apart."""
    kind, _, digits = revision.partition("-")
    return f"{kind}-{digits[:12]}" if digits else ""


def address() -> str:
    """The whole link to what is on screen."""
    state = st.session_state
    parameters: dict[str, Any] = {name: str(state[name]) for name in ALWAYS if name in state}
    parameters |= {name: st.query_params.get_all(name) for name in st.query_params}
    url = st.context.url or ""
    return f"{url if urlsplit(url).path else url + '/'}?{urlencode(parameters, doseq=True)}"
