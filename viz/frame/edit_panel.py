"""The panel in the sidebar that changes the model, and the list of what is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.trace.edits import Cell, Edits
from viz.frame import session
from viz.frame.option_row import named
from viz.language import readings
from viz.language.messages import say

Values = dict[str, Any]
SHOWN = "shown"  # in place of a number: the layer or head on screen, which may change without this panel


@dataclass(frozen=True)
class Change:
    """One sort of change: what it asks for, and the edits it makes of the answers."""

    asks: tuple[str, ...]
    make: Callable[[Edits, Values], Edits]


def _factor(edits: Edits, v: Values) -> Edits:
    return replace(edits, heads={**edits.heads, (v["kind"], v["layer"], v["head"]): v["factor"]})


def _all_but(edits: Edits, v: Values) -> Edits:
    kind, layer, head = v["kind"], v["layer"], v["head"]
    return replace(edits, heads={**edits.heads, (kind, layer, None): 0.0, (kind, layer, head): 1.0})


def _patch(edits: Edits, v: Values) -> Edits:
    where = (v["kind"], v["layer"], v["head"])
    return replace(edits, patched={**edits.patched, where: (v["other"] or " ", None)})


def _unseen(edits: Edits, v: Values) -> Edits:
    cell: Cell = (v["kind"], None, v["token"])
    return replace(edits, blocked={*edits.blocked, cell if v["layer"] is None else (*cell, v["layer"])})


CHANGES: Mapping[str, Change] = {
    "factor": Change(("kind", "layer", "head", "factor"), _factor),
    "all_but": Change(("kind", "layer", "head"), _all_but),
    "uniform": Change(
        ("kind", "layer", "head"),
        lambda edits, v: replace(edits, uniform={*edits.uniform, (v["kind"], v["layer"], v["head"])}),
    ),
    "patch": Change(("kind", "layer", "head", "other"), _patch),
    "shape": Change(
        ("kind", "layer", "shape", "size"),
        lambda edits, v: replace(
            edits,
            masks={
                **edits.masks,
                (v["kind"], v["layer"]): v["shape"] + (str(v["size"]) if v["shape"] in ("window", "block") else ""),
            },
        ),
    ),
    "unseen": Change(("kind", "layer", "token"), _unseen),
    "temperature": Change(
        ("kind", "temperature"),
        lambda edits, v: replace(edits, temperature={**edits.temperature, v["kind"]: v["temperature"]}),
    ),
    "positions": Change(("places",), lambda edits, v: replace(edits, positions=v["places"])),
}


def panel(space: DeltaGenerator | None) -> None:
    """Fill the sidebar's panel; nothing where there is no room for it, or no model is open."""
    lens = session.opened()
    if lens is None or space is None:
        return
    with space:
        listed("panel")
        if not lens.heads:
            st.caption(say("change.no_edits"))
            return
        names = list(CHANGES)
        name = st.selectbox(
            say("change.what"),
            names,
            format_func=lambda one: say(f"change.{one}"),
            key="change_what",
            help=say("change.help"),
        )
        values: Values = {}
        for field in CHANGES[name].asks:
            values[field] = _ask(field, lens.heads, values)
        st.button(
            say("change.apply"), key="change_apply", on_click=_apply, args=(name, values, lens.heads), width="stretch"
        )


def listed(place: str) -> None:
    """The changes in words, each with a button that undoes it, and one that undoes them all."""
    edits = session.edits()
    for number, (name, where, value) in enumerate(edits.items()):
        left, right = st.columns([6, 1], vertical_alignment="center")
        left.markdown(f":orange[:material/edit:] {readings.change(name, where, value)}")
        right.button(
            ":material/close:",
            key=f"undo_{place}_{number}",
            help=say("change.undo"),
            on_click=session.set_edits,
            args=(edits.without(name, where),),
            type="tertiary",
        )
    if edits:
        st.button(
            say("change.undo_all"),
            key=f"undo_all_{place}",
            icon=":material/undo:",
            on_click=session.set_edits,
            args=(Edits(),),
        )


def toggle_cell(key: str, kind: str) -> None:
    """Forbid the cell that was clicked in a mask's picture, or allow it again."""
    points = st.session_state[key].selection.points
    if points:
        query, asked = (int(i) for i in points[0]["customdata"][:2])
        edits, cell = session.edits(), (kind, query, asked)
        session.set_edits(replace(edits, blocked={*edits.blocked} ^ {cell}))


def _apply(name: str, values: Values, heads: Mapping[str, tuple[int, int]]) -> None:
    looked_at = {
        field: min(st.session_state.get(field) or 0, count - 1)
        for field, count in zip(("layer", "head"), heads[values["kind"]] if "kind" in values else (), strict=False)
        if values.get(field) == SHOWN
    }
    session.set_edits(CHANGES[name].make(session.edits(), values | looked_at))


def _ask(field: str, heads: Mapping[str, tuple[int, int]], asked: Values) -> Any:
    """The widget for one answer; where nothing else is chosen, kind, layer and head are those being looked at."""
    state, label, key = st.session_state, say(f"change.{field}_label"), f"change_{field}"
    if field == "kind":
        kinds = list(heads)
        if state.get(key) not in kinds:
            state.pop(key, None)
        start = kinds.index(state.kind) if state.get("kind") in kinds else 0
        return st.selectbox(label, kinds, start, key=key, format_func=named) if len(kinds) > 1 else kinds[0]
    if field in ("layer", "head"):
        count = heads[asked["kind"]][field == "head"]
        options = [SHOWN, None, *range(count)]
        if state.get(key) not in options:
            state.pop(key, None)
        return st.selectbox(label, options, key=key, format_func=lambda i: say("change.all") if i is None else named(i))
    if field == "factor":
        return st.slider(label, -2.0, 4.0, 0.0, 0.25, key=key, help=say("change.factor_help"))
    if field == "temperature":
        return st.slider(label, 0.1, 10.0, 2.0, 0.1, key=key, help=say("change.temperature_help"))
    if field == "other":
        return st.text_input(label, state.text, key=key, help=say("change.other_help"))
    if field == "shape":
        return st.selectbox(
            label, ("full", "causal", "window", "block"), format_func=lambda s: say(f"change.shape_{s}"), key=key
        )
    if field == "places":
        return st.selectbox(label, ("off", "shuffled"), format_func=lambda s: say(f"change.places_{s}"), key=key)
    return st.number_input(label, 1 if field == "size" else 0, None, 2 if field == "size" else 0, key=key)
