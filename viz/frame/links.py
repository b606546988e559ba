"""Widget values in the query parameters of the page's address, also where Streamlit's own binding cannot write them.

A widget bound by Streamlit writes the labels of its options into the link. Where those are tokens or translated names,
the widget is not bound but goes through `restore` and `store`, which read and write ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from viz.frame import model_access, session
from viz.language.messages import escape_markdown, say

# Part of a shared link even at their defaults, which may differ in another version.
ALWAYS_SHARED = ("model", "text")
HEAD = ("kind", "layer", "head")  # the same, on pages that show one head
# Parameters whose own code reports what could not be restored.
REPORTED_ELSEWHERE = {"revision", "lesson", "lesson_step", "language", "projector"}
# Keys of the session's state.
_INITIAL, _STORED, _MANAGED, _WARNINGS = "link_arrived", "link_kept", "link_own", "link_said"
_NAMES = "link_names"


def begin_run() -> None:
    """Record the parameters of the link that opened this session; at the beginning of each run of the app."""
    state = st.session_state
    if _INITIAL not in state:
        state[_INITIAL] = {name: st.query_params.get_all(name) for name in st.query_params}
    state[_STORED] = set()
    state.setdefault(_MANAGED, set())


def arrives_at_head() -> bool:
    """Whether the link that opens this session names a head or one of its rows; until `begin_run`."""
    names = () if _INITIAL in st.session_state else st.query_params
    return any(name in HEAD or name.startswith("row_") for name in names)


def leave() -> None:
    """Take nothing more from the link that opened this session: the reader chose something else."""
    st.session_state[_INITIAL] = {}


def restore(key: str, options: Sequence[Any], *, many: bool = False, names: Sequence[int] = ()) -> None:
    """Set a widget to its value in the link, before it is drawn and unless the session already holds a value.

    Args:
        options: the values allowed; the link holds their `str`.
        many: the widget holds a list of values.
        names: what the link says for each number, such as the layer of the model that a layer with attention is.
    """
    st.session_state[_NAMES] = st.session_state.get(_NAMES, {}) | {key: tuple(names)}
    if key in st.session_state or key not in st.query_params:
        return
    known = {_named(key, option): option for option in options}
    values = [known[text] for text in st.query_params.get_all(key) if text in known]
    if values:
        st.session_state[key] = values if many else values[-1]


def _named(key: str, value: Any) -> str:
    """What the link says for a value of a widget."""
    names = st.session_state.get(_NAMES, {}).get(key, ())
    return str(names[value] if isinstance(value, int) and 0 <= value < len(names) else value)


def store(key: str, value: Any, default: Any, *, names: Sequence[int] = ()) -> None:
    """Write a widget's value into the link, or remove it from there if it is the default. names: as in `restore`"""
    st.session_state[_NAMES] = st.session_state.get(_NAMES, {}) | {key: tuple(names)}
    texts = [str(one) for one in value] if isinstance(value, list) else [_named(key, value)]
    st.session_state[_STORED].add(key)
    st.session_state[_MANAGED].add(key)
    if value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != texts:
        st.query_params[key] = texts


def finish(place: DeltaGenerator) -> None:
    """After a page was drawn: remove parameters of widgets that are not on it, and warn of those not restored.

    Args:
        place: container for the warnings.
    """
    state = st.session_state
    if not state.drawn:  # no figure could be shown yet: the link's parameters stay pending, but not those that arrived
        state[_INITIAL] = {name: texts for name, texts in state[_INITIAL].items() if not _is_restored(name, texts)}
        return
    unknown = {name for name in state[_INITIAL] if name not in state}
    for key in (state[_MANAGED] | unknown) - state[_STORED] - REPORTED_ELSEWHERE:
        st.query_params.pop(key, None)
    current = short_revision(model_access.weights_version(session.chosen_model())[0])
    store("revision", current, "")
    if state[_INITIAL]:
        state[_WARNINGS] = _restore_warnings(state[_INITIAL], current)
        state[_INITIAL] = {}
    if state.get(_WARNINGS):
        with place:
            for sentence in state[_WARNINGS]:
                st.warning(sentence, icon=":material/link_off:")
            st.button(say("share.understood"), key="link_understood", on_click=state.pop, args=(_WARNINGS,))


def _restore_warnings(initial: dict[str, list[str]], current: str) -> list[str]:
    """Sentences on parameters of a link that were not restored. current: revision of the open model's weights"""
    sentences = []
    left_out = [
        say("share.part", name=escape_markdown(name), value=escape_markdown(", ".join(texts)[:60]))
        for name, texts in initial.items()
        if name not in REPORTED_ELSEWHERE and not _is_restored(name, texts)
    ]
    if left_out:
        sentences.append(say("share.left_out", parts=", ".join(left_out)))
    wanted = initial.get("revision", [current])[-1]
    if wanted != current:
        sentences.append(say("share.other_revision", wanted=escape_markdown(wanted), found=escape_markdown(current)))
    return sentences


def _is_restored(name: str, texts: list[str]) -> bool:
    """Whether a widget holds the values that the link asked for."""
    value = st.session_state.get(name)
    if value is None:
        return False
    values = value if isinstance(value, list) else [value]
    texts = texts if isinstance(value, list) else texts[-1:]
    return len(values) == len(texts) and all(
        _named(name, one) == text
        if _NAMES in st.session_state and st.session_state[_NAMES].get(name)
        else _equals_text(one, text)
        for one, text in zip(values, texts, strict=True)
    )


def _equals_text(value: Any, text: str) -> bool:
    """Whether a widget's value is what a parameter's text denotes."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, (int, float)):
        try:
            return math.isclose(float(text), value)
        except ValueError:
            return False
    return str(value) == text


def short_revision(revision: str) -> str:
    """The first 12 digits of a revision, with its kind, as a link holds it; "" where there is none."""
    kind, _, digits = revision.partition("-")
    return f"{kind}-{digits[:12]}" if digits else ""


def current_url() -> str:
    """The link to what is on screen."""
    state = st.session_state
    shared = [*ALWAYS_SHARED, *(name for name in HEAD if name in state[_STORED])]
    parameters: dict[str, Any] = {name: _named(name, state[name]) for name in shared if name in state}
    parameters |= {name: st.query_params.get_all(name) for name in st.query_params}
    url = st.context.url or ""
    return f"{url if urlsplit(url).path else url + '/'}?{urlencode(parameters, doseq=True)}"
