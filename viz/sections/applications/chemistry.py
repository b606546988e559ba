"""The Chemistry page: a reaction as molecules, where each product atom looks, and the atom map that a head makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from model.measures.structure.atom_map import (
    AtomMap,
    MappedAtoms,
    atom_map,
    atom_tokens,
    looks_at,
    mapped_atoms,
    right_atoms,
)
from model.structures.molecules import can_draw, drawn_molecule
from model.structures.reaction import PRODUCT, Reaction, ReactionError, bundled, known_map, read_reaction
from model.tokenization.text_layout import place_tokens, sentences
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.browser.resources import BROWSER
from viz.figures.head_bars import head_bars
from viz.figures.linking import key_stack
from viz.figures.reactions import Look, ReactionLayout, reaction_drawing, reaction_figure, reaction_layout
from viz.figures.theme import Palette
from viz.figures.tinted_text import TextMap, TextSide, tinted_text
from viz.frame import session
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import escape_markdown, say
from viz.saving import tables
from viz.widgets import charts, page_check, pickers
from viz.widgets import tinted_text as widget
from viz.widgets.menus import save_menu

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReadReaction:
    """A reaction that a model reads atom by atom.

    Attributes:
        reaction: its atoms; tokens: position of each atom's token.
        true: the known atom map, product atom -> reactant atom; None where it is not known.
    """

    reaction: Reaction
    tokens: tuple[int, ...]
    true: Mapping[int, int] | None


def read(trace: Trace, attention: Attention) -> ReadReaction:
    """The reaction that an attention is within.

    Raises:
        Halt: it is none, or the model does not read it atom by atom; the page says so.
    """
    if not trace.of_text or attention.kind == "cross":
        session.halt(say("chemistry.one_text"))
    text = trace.text.strip()
    try:
        reaction = read_reaction(text)
    except ReactionError as error:
        shown = escape_markdown(text[max(error.place - 12, 0) : error.place + 1])
        session.halt(say(f"chemistry.error_{error.reason}", place=error.place + 1, letters=shown), of_input=True)
    if any(atom.number for atom in reaction.atoms):
        session.halt(say("chemistry.numbered"), of_input=True)
    tokens = atom_tokens(attention.queries, trace.text, reaction)
    if tokens is None:
        session.halt(say("chemistry.pieces"), of_input=True)
    return ReadReaction(reaction, tokens, known_map(text))


def examples() -> None:
    """Draw the menu of reactions whose atom map is known."""
    with st.popover(say("chemistry.reactions"), icon=":material/experiment:", key="reactions"):
        for one in bundled():
            label = say(f"chemistry.example_{one.name}")
            st.button(
                label, key=f"reaction_{one.name}", on_click=session.type_text, args=(one.smiles,), width="stretch"
            )


def draw(trace: Trace, selected: pickers.SelectedHead, found: ReadReaction, palette: Palette) -> None:
    """The molecules with the looks of the head, the text, the heads that find where atoms come from, and the map."""
    attention, reaction = selected.attention, found.reaction
    start = found.tokens[reaction.of_side(PRODUCT)[0]]
    row = pickers.chosen_row(attention, start)
    st.html(BROWSER / "reaction.css")
    left, right = st.columns([3, 2])
    with left:
        weights = widget.draw_head(trace, selected, row)
        looks = _looks(weights.weights, found)
        layout = _layout(reaction)
        if layout is not None:
            names = [attention.queries.name(i) for i in found.tokens]
            stack = key_stack(attention.kind)
            drawing = json.dumps(reaction_drawing(reaction, layout, found.tokens, stack, names, looks))
            kept = f'aria-label="{escape(say("chemistry.title"))}" data-drawing="{escape(drawing)}"'
            st.html(f'<div class="tinted molecules" role="group" {kept}></div>')
        side = TextSide(say("chemistry.text"), place_tokens(attention.queries, trace.text), key_stack(attention.kind))
        st.html(widget.side_html(side, sentences(side.placed)))
        _register(selected, found, weights, looks, layout, side, row, palette)
        save_menu.menu("reaction")
    with right:
        if found.true:
            _who_finds(trace, selected, found, palette)
        _map(weights, selected, found)


def _looks(weights: np.ndarray, found: ReadReaction) -> list[Look]:
    best = looks_at(weights, found.reaction, found.tokens)
    right = right_atoms(best, found.true, found.reaction.classes()) if found.true else {}
    return [Look(product, reactant, right.get(product)) for product, reactant in best.items()]


def _layout(reaction: Reaction) -> ReactionLayout | None:
    """Where the atoms are drawn; None where they cannot be, which the page says."""
    if not can_draw():
        st.caption(say("chemistry.library"))
        return None
    counts = [sum(atom.molecule == i for atom in reaction.atoms) for i in range(len(reaction.molecules))]
    drawn = [drawn_molecule(text, count) for text, count in zip(reaction.molecules, counts, strict=True)]
    made = [one for one in drawn if one is not None]
    for text, one in zip(reaction.molecules, drawn, strict=True):
        if one is not None and one.impossible is not None:
            st.warning(say("chemistry.impossible", molecule=escape_markdown(text), atom=one.impossible + 1))
    if len(made) < len(drawn):
        st.caption(say("chemistry.not_drawn"))
        return None
    return reaction_layout(reaction, made)


def _register(
    selected: pickers.SelectedHead,
    found: ReadReaction,
    weights: TextMap,
    looks: list[Look],
    layout: ReactionLayout | None,
    side: TextSide,
    row: int,
    palette: Palette,
) -> None:
    """The picture to save: the drawn molecules, or the text where they cannot be drawn."""
    attention = selected.attention
    token = escape(attention.queries.name(row))
    title = say("chemistry.figure", layer=selected.layer, head=selected.head, token=token)
    tints = (weights.weights[row] / weights.scales[row]).clip(0, 1)[list(found.tokens)]
    focus = found.tokens.index(row) if row in found.tokens else None
    figure = (
        tinted_text([side], weights, row, title, palette)
        if layout is None
        else reaction_figure(found.reaction, layout, tints, focus, looks, title, palette)
    )
    table = partial(tables.focus_table, weights.weights, attention.queries, attention.keys, row, one_text=True)
    caption = say("chemistry.look") if layout is None else f"{say('chemistry.look')} {say('chemistry.lines')}"
    widget.register_figure(weights, row, figure, "reaction", caption, table)


def _who_finds(trace: Trace, selected: pickers.SelectedHead, found: ReadReaction, palette: Palette) -> None:
    """How many product atoms look at the right reactant atom, of this head and of all."""
    attention, true = selected.attention, found.true
    assert true is not None

    def measure(maps: Attention) -> MappedAtoms:
        return mapped_atoms(maps, found.reaction, found.tokens, true)

    one = measured(trace, attention, ("mapped_atoms",), measure, lambda made: made.hits.nbytes)
    layer, head = one.best
    said = say(
        "chemistry.verdict",
        total=one.total,
        here=one.hits[selected.layer, selected.head],
        layer=attention.layer_index[layer],
        head=head,
        best=one.hits[layer, head],
        order=one.in_order,
    )
    charts.announced_markdown(said, ahead="origins")
    here, lines = (selected.layer, selected.head), {say("chemistry.in_order"): one.in_order / one.total}
    words = say("chemistry.bars_title"), say("chemistry.found")
    figure = head_bars(one.hits / one.total, attention.layer_index, here, *words, lines, palette)
    page_check.claim(
        trace, "origins", page_check.bars_of_heads_error(figure, one.hits / one.total, attention, here, lines)
    )
    charts.chart_with_menu(figure, "origins", say("chemistry.bars_look"))


def _map(weights: TextMap, selected: pickers.SelectedHead, found: ReadReaction) -> None:
    """The atom map that the head on screen makes, each reactant atom used once, with its confidence."""
    made = atom_map(weights.weights, found.reaction, found.tokens)
    right = right_atoms(made.atoms, found.true, found.reaction.classes()) if found.true else {}
    said = say("chemistry.map", confidence=f"{made.confidence:.0%}", count=len(made.atoms))
    charts.noted_markdown(said, "reaction")
    if found.true:
        said = say("chemistry.map_right", right=sum(right.values()), total=len(found.true))
        charts.noted_markdown(said, "reaction")
    with st.expander(say("chemistry.map_table")):
        st.dataframe(_map_table(made, right, selected, found), hide_index=True, key="atom_map")


def _map_table(
    made: AtomMap, right: Mapping[int, bool], selected: pickers.SelectedHead, found: ReadReaction
) -> pd.DataFrame:
    import pandas as pd

    tokens = selected.attention.queries
    columns: dict[str, list[object]] = {
        say("chemistry.product_atom"): [tokens.name(found.tokens[i]) for i in made.atoms],
        say("chemistry.reactant_atom"): [tokens.name(found.tokens[i]) for i in made.atoms.values()],
        say("chemistry.chance"): [f"{made.chances[i]:.0%}" for i in made.atoms],
    }
    if found.true:
        columns[say("chemistry.is_right")] = [("✓" if right[i] else "✗") if i in right else "" for i in made.atoms]
    return pd.DataFrame(columns)
