"""The Programs page: Python as text, arcs between what belongs together, and how well heads follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from model.measures.structure.linked_tokens import (
    Followed,
    TokenLink,
    followed_links,
    followed_relations,
    linked_program,
)
from model.structures.program import RELATIONS
from model.tokenization.text_layout import PlacedToken, sentences
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.linking import key_stack
from viz.figures.programs import Arc, gutter_arcs, program_text, relation_bars
from viz.figures.reading_series import bars_error
from viz.figures.theme import Palette, escape
from viz.figures.tinted_text import TextSide
from viz.frame import session
from viz.frame.option_row import option_row
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import say
from viz.saving import tables
from viz.widgets import charts, page_check, pickers
from viz.widgets import tinted_text as widget
from viz.widgets.menus import save_menu


@dataclass(frozen=True)
class LinkedText:
    """A program with its tokens in their places, its links between tokens, by relation, and what is wrong with it."""

    placed: Sequence[PlacedToken]
    links: Mapping[str, Sequence[TokenLink]]
    resting: tuple[int, ...]
    wrong: str


def read(trace: Trace, attention: Attention) -> LinkedText:
    """The program that an attention is within, and what Python says belongs together.

    Raises:
        Halt: the attention is not within one text, or nothing can be read; the page says so.
    """
    stack = key_stack(attention.kind)
    if attention.kind == "cross" or (stack == "decoder" and "encoder" in trace.tokens):
        session.halt(say("program.one_text"))
    text = trace.text if stack == "encoder" else f"{trace.text}{trace.output or ''}"
    causal = stack == "decoder"
    found = linked_program(text, trace.tokens[stack], causal)
    typed = trace.text.splitlines()
    wrong, joined = "", any(found.links.values())
    if 0 < found.wrong_line <= len(typed):  # what the model went on to write may end anywhere
        which = "wrong" if joined else "wrong_alone"
        wrong = say(f"program.{which}", line=found.wrong_line, code=_as_code(typed[found.wrong_line - 1]))
    if not joined:
        session.halt(wrong or say("program.nothing"), of_input=True)
    return LinkedText(found.placed, found.links, (0,) if causal else (), wrong)


def _warn(wrong: str) -> None:
    if wrong:
        session.input_room().warning(wrong, icon=":material/edit:")


def _as_code(line: str) -> str:
    return f"`{_printable(line.strip()[:60])}`" if "`" not in line and line.strip() else "…"


def _printable(line: str) -> str:
    """A line with a sign for each letter that cannot be seen and that Python does not read."""
    return "".join(one if one.isprintable() or one == "\t" else "␣" if one.isspace() else "�" for one in line)


def pick_relation(found: LinkedText) -> str:
    """The relation whose arcs are drawn."""
    options = [name for name in RELATIONS if found.links[name]]
    return option_row(say("program.relation"), options, options[0], "relation", name=_relation_name)


def _relation_name(relation: str) -> str:
    return say(f"program.{relation}")


def draw(trace: Trace, selected: pickers.SelectedHead, found: LinkedText, relation: str, palette: Palette) -> None:
    """The program with the arcs of one relation, and beside it how well each relation is followed."""
    _warn(found.wrong)
    attention, row = selected.attention, pickers.chosen_row(selected.attention)
    stack, links = key_stack(attention.kind), found.links[relation]
    side = TextSide(say("text.source"), found.placed, stack)
    followed = _followed(trace, attention, found)
    left, right = st.columns([3, 2])
    with left:
        map_ = widget.draw_head(trace, selected, row)
        weights = map_.weights
        hit = followed_links(weights, links, attention.keys.special, found.resting)
        arcs = [Arc(query, keys, bool(one)) for (query, keys), one in zip(links, hit, strict=True)]
        gutter = gutter_arcs(arcs, found.placed)
        st.html(widget.side_html(side, sentences(found.placed), gutter=gutter))
        title = say("program.figure", layer=selected.layer, head=selected.head, relation=_relation_name(relation))
        table = partial(tables.focus_table, weights, attention.queries, attention.keys, row, one_text=True)
        figure = program_text(side, map_, row, arcs, escape(title), palette)
        widget.register_figure(map_, row, figure, "program", say("program.look"), table)
        save_menu.menu("program")
    with right:
        names = {name: _relation_name(name) for name in followed}
        _verdict(followed[relation], selected, relation)
        here = selected.layer, selected.head
        figure = relation_bars(followed, names, here, palette)
        hits = [[one.hits[here], one.hits.max(), one.offset_hits] for one in followed.values()]
        shares = np.array(hits, np.float64).T / [one.total for one in followed.values()]
        page_check.claim(trace, "relations", bars_error(figure, [*shares], [*names.values()], lying=True, longest=99))
        charts.chart_with_menu(figure, "relations", say("program.bars_look"))


def _followed(trace: Trace, attention: Attention, found: LinkedText) -> dict[str, Followed]:
    """How every head follows each relation, cached."""

    def measure(maps: Attention) -> dict[str, Followed]:
        return followed_relations(maps, found.links, found.resting)

    return measured(
        trace, attention, ("follows",), measure, lambda made: sum(2 * one.hits.nbytes for one in made.values())
    )


def _verdict(one: Followed, selected: pickers.SelectedHead, relation: str) -> None:
    """What the head on screen and the best head do, with the best offset beside it; a button to go to the best."""
    index = selected.attention.layer_index
    layer, head = one.best
    named = say("program.named" if one.named[layer, head] else "program.not_named")
    charts.announced_markdown(
        say(
            "program.verdict",
            relation=_relation_name(relation),
            here=one.hits[selected.layer, selected.head],
            total=one.total,
            layer=index[layer],
            head=head,
            best=one.hits[layer, head],
            offset=abs(one.offset),
            fixed=one.offset_hits,
        )
        + f" {named}",
        ahead="relations",
    )
    if (layer, head) != (selected.layer, selected.head):
        label = say("program.go", layer=index[layer], head=head)
        st.button(label, key="program_go", icon=":material/arrow_forward:", on_click=_go, args=(layer, head))


def _go(layer: int, head: int) -> None:
    """Show a head; a callback."""
    st.session_state.layer, st.session_state.head = layer, head
