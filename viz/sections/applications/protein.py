"""The Proteins page: a sequence as residues, what a head looks at, and its contacts beside the known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape

import streamlit as st

from model.arrays.types import Array
from model.measures.probabilities import most_probable, probabilities
from model.measures.structure.contacts import (
    ContactPrecision,
    contact_precision,
    contact_scores,
    predicted_contacts,
    residue_weights,
    top_pairs,
)
from model.structures.protein import SHORTEST, KnownStructure, known_structure, plain_sequence, wrong_residue
from model.tokenization.text_layout import PlacedToken, place_tokens
from model.trace.attention import Attention
from model.trace.check import Probe
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.browser.resources import BROWSER
from viz.figures.head_bars import head_bars
from viz.figures.linking import key_stack
from viz.figures.proteins import contact_map
from viz.figures.reading_series import triangles_error
from viz.figures.theme import Palette
from viz.figures.tinted_text import TextSide, tinted_text
from viz.frame import model_access, session
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import escape_markdown, say
from viz.saving import tables
from viz.widgets import charts, page_check, pickers
from viz.widgets import tinted_text as widget
from viz.widgets.menus import save_menu

BLOCK, LINE = 10, 60  # residues under one number, and of a line of the figure to save
GUESSES = 3


@dataclass(frozen=True)
class Protein:
    """A sequence that a model reads residue by residue.

    Attributes:
        residues: the tokens of the residues; sequence: their letters.
        known: its structure, where that is known.
    """

    residues: tuple[int, ...]
    sequence: str
    known: KnownStructure | None


def read(trace: Trace, attention: Attention, chains: Sequence[KnownStructure]) -> Protein:
    """The protein that an attention is within. chains: those whose structure is known

    Raises:
        Halt: it is none, or the model does not read it residue by residue; the page says so.
    """
    tokens = trace.tokens.get("encoder") or trace.tokens["decoder"]
    sequence = plain_sequence(trace.text)
    places = tuple(i for i, special in enumerate(tokens.special) if not special)
    wrong = wrong_residue(sequence)
    if not trace.of_text or attention.kind == "cross":
        session.halt(say("protein.one_text"))
    if wrong is not None:
        session.halt(say("protein.wrong", place=wrong + 1, letter=escape_markdown(sequence[wrong])), of_input=True)
    if len(sequence) < SHORTEST:
        session.halt(say("protein.short", count=SHORTEST), of_input=True)
    if any(line.startswith(">") for line in trace.text.splitlines()):
        session.halt(say("protein.header"), of_input=True)
    if "".join(tokens.texts[i] for i in places).upper() != sequence.upper():
        known = [i for i in places if len(tokens.texts[i]) == 1 and tokens.texts[i].isalpha()]
        session.halt(say("protein.pieces" if len(known) < len(places) / 2 else "protein.unknown"), of_input=True)
    return Protein(places, sequence.upper(), known_structure(sequence.upper(), chains))


def draw(trace: Trace, selected: pickers.SelectedHead, found: Protein, palette: Palette) -> None:
    """The sequence with what the head looks at, its contacts, and the heads whose pairs touch."""
    attention, tokens = selected.attention, selected.attention.queries
    row = pickers.chosen_row(attention, found.residues[_first_bridge(found)])
    st.html(BROWSER / "protein.css")
    left, right = st.columns([1, 1])
    scores = contact_scores(residue_weights(attention, selected.layer, found.residues)[selected.head])
    with left:
        weights = widget.draw_head(trace, selected, row)
        st.html(residues_html(tokens, found, key_stack(attention.kind)))
        side = saved_side(place_tokens(tokens, trace.text), found, key_stack(attention.kind))
        title = say("protein.figure", layer=selected.layer, head=selected.head, token=escape(tokens.name(row)))
        table = partial(tables.focus_table, weights.weights, tokens, attention.keys, row, one_text=True)
        figure = tinted_text([side], weights, row, title, palette)
        notes = [say("protein.look"), say("protein.marked") if found.known else say("protein.not_known")]
        widget.register_figure(weights, row, figure, "residues", " ".join(notes), table)
        save_menu.menu("residues")
        _guess(trace, tokens, row, found)
    with right:
        names = [tokens.name(i) for i in found.residues]
        focus = key_stack(attention.kind), found.residues
        title = say("protein.map_title", layer=selected.layer, head=selected.head)
        own = _own_contacts(trace, attention, found)
        if own is not None:
            whose = option_row(say("protein.upper"), ("one_head", "own_head"), "one_head", "contact_map", name=_whose)
            if whose == "own_head":
                scores, title = own, say("protein.own_title")
        figure = contact_map(scores, found.known, names, focus, title, palette)
        numbers = [str(i) if i % 10 == 0 else "" for i in range(1, len(names) + 1)]
        touching = found.known.contacts if found.known else None
        page_check.claim(trace, "contacts", triangles_error(figure, scores, touching, numbers))
        charts.chart_with_menu(figure, "contacts", say("protein.map_look" if found.known else "protein.map_look_one"))
    if found.known:
        with left:
            _precision(trace, selected, found, palette)


def _whose(option: str) -> str:
    return say(f"protein.upper_{option}")


def _own_contacts(trace: Trace, attention: Attention, found: Protein) -> Array | None:
    """What the model's own contact head says, where it brings one. [residue, residue]"""
    head = getattr(model_access.open_model(), "contact_regression", lambda: None)()
    if head is None or attention.num_layers != len(head[0]):
        return None

    def measure(maps: Attention) -> Array:
        return predicted_contacts(maps, found.residues, *head)

    return measured(trace, attention, ("contact_head",), measure, lambda made: made.nbytes)


def _first_bridge(found: Protein) -> int:
    """The residue that is shown at first: a joined cysteine where there is one."""
    return found.known.bridges[0][1] if found.known and found.known.bridges else 0


def residues_html(tokens: Tokens, found: Protein, stack: str) -> str:
    """The sequence as HTML in numbered blocks; helices, strands and joined cysteines are marked where known."""
    joined: dict[int, int] = {}
    for a, b in found.known.bridges if found.known else ():
        joined |= {a: b, b: a}
    blocks = []
    for first in range(0, len(found.residues), BLOCK):
        letters = []
        for i in range(first, min(first + BLOCK, len(found.residues))):
            form = {"H": " helix", "E": " strand"}.get(found.known.forms[i], "") if found.known else ""
            bridge = f' title="{escape(say("protein.joined", number=joined[i] + 1))}"' if i in joined else ""
            kind = f"read-token{form}{' joined' if i in joined else ''}"
            letters.append(
                f'<span class="{kind}" tabindex="{0 if i == 0 else -1}" role="button"{bridge} data-stack="{stack}" '
                f'data-place="{found.residues[i]}">{escape(tokens.texts[found.residues[i]])}</span>'
            )
        blocks.append(f'<span class="residue-block" data-number="{first + 1}">{"".join(letters)}</span>')
    label = escape(say("protein.title"))
    return f'<div class="tinted residues" role="group" aria-label="{label}">{"".join(blocks)}</div>'


def saved_side(placed: Sequence[PlacedToken], found: Protein, stack: str) -> TextSide:
    """The sequence as its figure shows it: in numbered lines of blocks, with the same marks. placed: as it was typed"""
    shown = list(placed)
    for i, place in enumerate(found.residues):
        shown[place] = replace(shown[place], before=" " if i % BLOCK == 0 else "")
    margin = {found.residues[i]: str(i + 1) for i in range(0, len(found.residues), LINE)}
    marked: dict[str, frozenset[int]] = {}
    if found.known:
        forms = {"strand": "E", "helix": "H"}
        marked = {
            name: frozenset(found.residues[i] for i, one in enumerate(found.known.forms) if one == form)
            for name, form in forms.items()
        }
        marked["joined"] = frozenset(found.residues[i] for pair in found.known.bridges for i in pair)
    return TextSide(say("protein.title"), shown, stack, margin=margin, marked=marked)


def _guess(trace: Trace, tokens: Tokens, row: int, found: Protein) -> None:
    """What the model guesses where the residue in focus is hidden; nothing for a model that cannot."""
    logits = results.masked_token_logits(model_access.model_input(), row) if row in found.residues else None
    if logits is None:
        return
    page_check.claim(trace, "guess", Probe(guess=(row, logits)))
    chances = probabilities(logits)
    best = most_probable(chances, GUESSES)
    labels = model_access.open_model().labels(best.tolist())
    listed = ", ".join(
        f"**{escape_markdown(label)}** {chances[i]:.0%}" for label, i in zip(labels, best.tolist(), strict=True)
    )
    charts.noted_markdown(say("protein.guess", token=escape_markdown(tokens.name(row)), list=listed), "residues")


def _precision(trace: Trace, selected: pickers.SelectedHead, found: Protein, palette: Palette) -> None:
    """How many of the top pairs of this head and of the others touch, against chance and the nearest pairs."""
    attention, known = selected.attention, found.known
    assert known is not None

    def measure(maps: Attention) -> ContactPrecision:
        return contact_precision(maps, found.residues, known.contacts)

    one = measured(trace, attention, ("contacts", known.source), measure, lambda made: made.hits.nbytes)
    if not one.pairs:
        return
    layer, head = one.best
    said = say(
        "protein.verdict",
        pairs=one.pairs,
        here=one.hits[selected.layer, selected.head],
        layer=attention.layer_index[layer],
        head=head,
        best=one.hits[layer, head],
        nearest=one.nearest,
        chance=round(one.chance * one.pairs),
    )
    charts.announced_markdown(said, ahead="precision")
    own = _own_contacts(trace, attention, found)
    note = ""
    if own is not None:
        note = say("protein.own_head", pairs=one.pairs, hits=int(known.contacts[top_pairs(own)].sum()))
        st.markdown(note)
    lines = {say("protein.nearest"): one.nearest / one.pairs, say("protein.chance"): one.chance}
    words = say("protein.bars_title"), say("protein.precision")
    here, shares = (selected.layer, selected.head), one.hits / one.pairs
    figure = head_bars(shares, attention.layer_index, here, *words, lines, palette)
    page_check.claim(trace, "precision", page_check.bars_of_heads_error(figure, shares, attention, here, lines))
    charts.chart_with_menu(figure, "precision", say("protein.bars_look"))
    if note:
        save_menu.register_note("precision", note)
