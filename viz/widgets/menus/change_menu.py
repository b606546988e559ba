"""The menu of changes at a tile, a token or a box: the browser opens it on a right click, a long press or by a key."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from model.trace.edits import Edits, Head
from viz.browser.resources import script
from viz.figures.linking import key_stack, query_stack
from viz.frame import model_access, session
from viz.language.messages import isolate_rtl, say
from viz.widgets.menus.box_change import with_named_box

KEY = "script_change_menu"
FACTORS = {"mute": 0.0, "double": 2.0}
WORDS = ("mute", "double", "alike", "copy", "copy_label", "undo", "forbid")
_component = st.components.v2.component("headlight_change_menu", js=script("tiles", "change_menu"))


def draw() -> None:
    """Let the browser open the menu; nothing where the page shows no run, or a model whose heads cannot be changed."""
    state, model = st.session_state, model_access.model_if_open()
    trace = state.ran[0][-1] if state.ran else None
    if trace is None or model is None or not model.heads or not trace.attentions:
        return
    kind = state.kind if state.get("kind") in trace.attentions else next(iter(trace.attentions))
    queries, row = trace.attentions[kind].queries, state.get(f"row_{kind}")
    named = isinstance(row, int) and row < len(queries) and not state.get("words")
    words = {name: say(f"head_menu.{name}") for name in WORDS}
    words |= {"head": say("head_menu.head", layer="{layer}", head="{head}")}
    words["hide"] = say("head_menu.show" if state.get("hide") else "heads.hide")
    words |= {"forbid_one": say("head_menu.forbid_one", query="{query}")}
    words |= {"forbid_layer": say("head_menu.forbid_layer", layer="{layer}")}
    data = {
        "words": words,
        "asks": query_stack(kind),
        "asked": key_stack(kind),
        "row": row if named else None,
        "query": isolate_rtl(queries.name(row)) if named else None,
        "layer": state.get("layer") or 0,
        "head": state.get("head") or 0,
        "layerNames": list(model_access.layer_numbers(kind)),
        "merged": bool(state.get("words")),
        "boxes": state.get("whole_marks", {}),
    }
    state.change_menu_kinds = (kind, list(trace.attentions))
    _component(key=KEY, data=data, on_act_change=_act)


def _act() -> None:
    """Make the change that was chosen; a callback."""
    chosen = st.session_state[KEY].act
    if not chosen:
        return
    what, name, *where = chosen
    if name == "hide":  # changes what is drawn, not the model
        st.session_state.hide = not st.session_state.get("hide")
        return
    edits = model_access.applied_edits()
    kind, kinds = st.session_state.change_menu_kinds

    def number(layer: str | int) -> int:
        return model_access.layer_numbers(kind)[int(layer)]

    if what == "head":
        layer, head, text = where
        edits = with_head_change(edits, name, (kind, number(layer), int(head)), str(text).strip())
    elif what == "box":
        edits = with_named_box(edits, str(where[0]))
    else:
        stack, place, row, layer = where
        # The kind on screen where it asks these tokens, else the attention of the stack to itself.
        kind = kind if key_stack(kind) == stack else next(one for one in kinds if key_stack(one) == stack)
        cell = (kind, None if row is None else int(row), int(place))
        blocked = (*cell, number(layer)) if name == "forbid_layer" else cell
        edits = replace(edits, blocked={*edits.blocked, blocked})
    session.set_edits(edits)


def with_head_change(edits: Edits, name: str, place: Head, text: str = "") -> Edits:
    """The edits with one head changed.

    Args:
        name: "mute", "double", "alike", "copy" or "undo".
        place: (kind, layer, head).
        text: for "copy", the sentence whose pattern the head takes.
    """
    if name in FACTORS:
        return replace(edits, heads={**edits.heads, place: FACTORS[name]})
    if name == "alike":
        return replace(edits, uniform={*edits.uniform, place})
    if name == "copy":
        return replace(edits, patched={**edits.patched, place: (text, None)}) if text else edits
    for field in ("heads", "uniform", "patched"):
        if place in getattr(edits, field):
            edits = edits.without(field, place)
    return edits
