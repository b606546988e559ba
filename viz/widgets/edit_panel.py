"""The panel that makes edits to the model, and the list of the edits made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.trace.edits import CELL_FIELDS, Cell, Edits
from viz.frame import model_access, session
from viz.frame.option_row import option_label
from viz.language import readings
from viz.language.messages import say
from viz.widgets.menus.box_change import box_fields

Values = dict[str, Any]
MAX_LISTED = 30  # changes that are listed in words
ON_SCREEN = "shown"  # option instead of a number: the layer or head on screen when the edit is applied


@dataclass(frozen=True)
class EditType:
    """One type of edit.

    Attributes:
        fields: names of the values it needs, each with a widget.
        add: edits and the widgets' values -> the edits with this one added.
    """

    fields: tuple[str, ...]
    add: Callable[[Edits, Values], Edits]


def _add_factor(edits: Edits, v: Values) -> Edits:
    """Edits with a head's output multiplied by a factor."""
    return replace(edits, heads={**edits.heads, (v["kind"], v["layer"], v["head"]): v["factor"]})


def _add_all_but(edits: Edits, v: Values) -> Edits:
    """Edits with all heads of a layer but one silenced."""
    kind, layer, head = v["kind"], v["layer"], v["head"]
    return replace(edits, heads={**edits.heads, (kind, layer, None): 0.0, (kind, layer, head): 1.0})


def _add_patch(edits: Edits, v: Values) -> Edits:
    """Edits with a head's output replaced by that of another text (activation patching)."""
    where = (v["kind"], v["layer"], v["head"])
    return replace(edits, patched={**edits.patched, where: (v["other"] or " ", None)})


def _add_blocked_key(edits: Edits, v: Values) -> Edits:
    """Edits with one key masked for all queries."""
    cell: Cell = (v["kind"], None, v["token"])
    return replace(edits, blocked={*edits.blocked, cell if v["layer"] is None else (*cell, v["layer"])})


EDIT_TYPES: Mapping[str, EditType] = {
    "factor": EditType(("kind", "layer", "head", "factor"), _add_factor),
    "all_but": EditType(("kind", "layer", "head"), _add_all_but),
    "uniform": EditType(
        ("kind", "layer", "head"),
        lambda edits, v: replace(edits, uniform={*edits.uniform, (v["kind"], v["layer"], v["head"])}),
    ),
    "patch": EditType(("kind", "layer", "head", "other"), _add_patch),
    "shape": EditType(
        ("kind", "layer", "shape", "size"),
        lambda edits, v: replace(
            edits,
            masks={
                **edits.masks,
                (v["kind"], v["layer"]): v["shape"] + (str(v["size"]) if v["shape"] in ("window", "block") else ""),
            },
        ),
    ),
    "unseen": EditType(("kind", "layer", "token"), _add_blocked_key),
    "temperature": EditType(
        ("kind", "temperature"),
        lambda edits, v: replace(edits, temperature={**edits.temperature, v["kind"]: v["temperature"]}),
    ),
    "positions": EditType(("places",), lambda edits, v: replace(edits, positions=v["places"])),
    "box": EditType(("block",), lambda edits, v: replace(edits, blocks={*edits.blocks, v["block"]})),
}


def panel(place: DeltaGenerator | None) -> None:
    """Draw the panel; nothing where it is closed (`place` is None) or no model is open."""
    lens = model_access.model_if_open()
    if lens is None or place is None:
        return
    with place:
        edit_list("panel")
        names = list(EDIT_TYPES) if lens.heads else ["box"]
        if not lens.heads:
            st.caption(say("change.no_edits"))
        name = st.selectbox(
            say("change.what"),
            names,
            format_func=lambda one: say(f"change.{one}"),
            key="change_what",
            help=say("change.help"),
        )
        values: Values = {}
        for field in EDIT_TYPES[name].fields:
            values[field] = box_fields(lens.boxes()) if field == "block" else _field_widget(field, lens.heads, values)
        st.button(
            say("change.apply"),
            key="change_apply",
            on_click=_apply,
            args=(name, values, lens.heads),
            width="stretch",
            disabled="block" in values and values["block"] is None,
        )


def edit_list(key: str) -> None:
    """Draw the edits in words, each with an undo button, and a button that undoes them all.

    Args:
        key: suffix of the buttons' keys, for one list of several on a page.
    """
    edits = model_access.applied_edits()
    changes = list(edits.items())
    for number, (name, where, value) in enumerate(changes[:MAX_LISTED]):
        left, right = st.columns([6, 1], vertical_alignment="center")
        outside = name in CELL_FIELDS and not _has_cell(where)
        sentence = readings.edit_reading(name, where, value) + (f" {say('change.beyond')}" if outside else "")
        left.markdown(f":orange[:material/edit:] {sentence}")
        right.button(
            ":material/close:",
            key=f"undo_{key}_{number}",
            help=say("change.undo"),
            on_click=_undo,
            args=(edits, name, where),
            type="tertiary",
        )
    if len(changes) > MAX_LISTED:
        st.caption(say("change.more", count=len(changes) - MAX_LISTED))
    if edits:
        st.button(
            say("change.undo_all"),
            key=f"undo_all_{key}",
            icon=":material/undo:",
            on_click=session.set_edits,
            args=(Edits(),),
        )


def _undo(edits: Edits, name: str, where: tuple[Any, ...]) -> None:
    """Take one change back; a callback."""
    session.set_edits(edits.without(name, where))


def _has_cell(where: tuple[Any, ...]) -> bool:
    """Whether the run on the page has the tokens of a blocked or allowed cell. where: kind, query, key"""
    if not st.session_state.ran:
        return True
    kind, query, key = where[:3]
    attention = st.session_state.ran[0][-1].attentions.get(kind)
    return attention is not None and key < len(attention.keys) and (query or 0) < len(attention.queries)


def toggle_cell(key: str, kind: str) -> None:
    """Allow the cell that was clicked in a mask's figure, or forbid it where it is allowed; a callback.

    The last key that a query may look at stays: without any, its weights would not exist.

    Args:
        key: of the figure; kind: of the attention.
    """
    points = st.session_state[key].selection.points
    if not points or "customdata" not in points[0]:
        return
    query, masked_key, allowed, only = (int(i) for i in points[0]["customdata"])
    if only:
        st.toast(say("masks.last"), icon=":material/block:")
        return
    session.set_edits(model_access.applied_edits().with_cell(kind, query, masked_key, allowed=not allowed))


def _apply(name: str, values: Values, heads: Mapping[str, tuple[int, int]]) -> None:
    """Add an edit of the type `name`, with the panel's values; a callback."""
    on_screen = {
        field: min(st.session_state.get(field) or 0, count - 1)
        for field, count in zip(("layer", "head"), heads[values["kind"]] if "kind" in values else (), strict=False)
        if values.get(field) == ON_SCREEN
    }
    if "layer" in on_screen:
        on_screen["layer"] = model_access.layer_numbers(values["kind"])[on_screen["layer"]]
    session.set_edits(EDIT_TYPES[name].add(model_access.applied_edits(), values | on_screen))


def _field_widget(field: str, heads: Mapping[str, tuple[int, int]], values: Values) -> Any:
    """The value of one field's widget; kind, layer and head start at those on screen. values: of earlier fields"""
    state, label, key = st.session_state, say(f"change.{field}_label"), f"change_{field}"
    if field == "kind":
        kinds = list(heads)
        if state.get(key) not in kinds:
            state.pop(key, None)
        start = kinds.index(state.kind) if state.get("kind") in kinds else 0
        return st.selectbox(label, kinds, start, key=key, format_func=option_label) if len(kinds) > 1 else kinds[0]
    if field in ("layer", "head"):
        heads_of_layer = range(heads[values["kind"]][1])
        numbers = heads_of_layer if field == "head" else model_access.layer_numbers(values["kind"])
        options = [ON_SCREEN, None, *numbers]
        if state.get(key) not in options:
            state.pop(key, None)
        return st.selectbox(
            label, options, key=key, format_func=lambda i: say("change.all") if i is None else option_label(i)
        )
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
