"""Attention from product atoms to reactant atoms as an atom map (NumPy only).

Schwaller et al. 2021, "Extraction of organic chemistry grammar from unsupervised learning of chemical reactions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.structures.reaction import PRODUCT, REACTANT, Reaction
from model.tokenization.text_layout import place_tokens, token_spans, tokens_within
from model.trace.attention import Attention
from model.trace.tokens import Tokens

NEIGHBOURS = 90.0  # by which pairs of neighbours of mapped atoms count more, as in RXNMapper


@dataclass(frozen=True, eq=False)
class AtomMap:
    """A map in which each reactant atom is used once.

    Attributes:
        atoms: product atom -> reactant atom; chances: of each, when it was chosen.
        confidence: the product of the chances.
    """

    atoms: Mapping[int, int]
    chances: Mapping[int, float]
    confidence: float


@dataclass(frozen=True, eq=False)
class MappedAtoms:
    """How many product atoms look most at the right reactant atom.

    Attributes:
        hits: int64 [layer, head]
        total: number of product atoms whose origin is known.
        in_order: how many the first unused atom of the same element would get right, which needs no model.
    """

    hits: Array
    total: int
    in_order: int

    @property
    def best(self) -> tuple[int, int]:
        """Layer and head with the most hits."""
        layer, head = np.unravel_index(int(self.hits.argmax()), self.hits.shape)
        return int(layer), int(head)


def atom_tokens(tokens: Tokens, text: str, reaction: Reaction) -> tuple[int, ...] | None:
    """The token of each atom; None where a model reads the text in other pieces.

    Args:
        text: that the tokens and the reaction were made of, the latter without white space at its ends.
    """
    spans = token_spans(place_tokens(tokens, text), text)
    shift = len(text) - len(text.lstrip())
    found = [tokens_within(spans, *(at + shift for at in atom.span)) for atom in reaction.atoms]
    chosen = tuple(one[0] for one in found if one)
    return chosen if len(set(chosen)) == len(reaction.atoms) else None


def looks_at(weights: Array, reaction: Reaction, tokens: Sequence[int]) -> dict[int, int]:
    """The reactant atom that each product atom looks at most.

    Args:
        weights: of a head. [query, key]
        tokens: of the reaction's atoms.
    """
    reactants, products = reaction.of_side(REACTANT), reaction.of_side(PRODUCT)
    part = weights[np.ix_([tokens[i] for i in products], [tokens[i] for i in reactants])]
    return {atom: reactants[int(best)] for atom, best in zip(products, part.argmax(axis=1), strict=True)}


def right_atoms(found: Mapping[int, int], true: Mapping[int, int], classes: Sequence[int]) -> dict[int, bool]:
    """Whether each product atom of a known map has the right reactant atom, or one that is no different by symmetry."""
    return {atom: classes[found[atom]] == classes[origin] for atom, origin in true.items() if atom in found}


def mapped_atoms(
    attention: Attention, reaction: Reaction, tokens: Sequence[int], true: Mapping[int, int]
) -> MappedAtoms:
    """How many product atoms look most at the right reactant atom, for every head."""
    classes = reaction.classes()
    hits = np.zeros((attention.num_layers, attention.num_heads), np.int64)
    everything = range(len(attention.queries))
    for layer in range(attention.num_layers):
        weights = np.nan_to_num(attention.select(layer, range(attention.num_heads), everything).weights())
        for head, one in enumerate(weights):
            hits[layer, head] = sum(right_atoms(looks_at(one, reaction, tokens), true, classes).values())
    return MappedAtoms(hits, len(true), sum(right_atoms(_in_order(reaction), true, classes).values()))


def _in_order(reaction: Reaction) -> dict[int, int]:
    """Each product atom with the first reactant atom of its element that is not used yet."""
    free = list(reaction.of_side(REACTANT))
    found = {}
    for atom in reaction.of_side(PRODUCT):
        same = [i for i in free if reaction.atoms[i].element == reaction.atoms[atom].element]
        if same:
            found[atom] = same[0]
            free.remove(same[0])
    return found


def atom_map(weights: Array, reaction: Reaction, tokens: Sequence[int]) -> AtomMap:
    """The atom map that a head's weights make: the surest pair of one element first, then again, neighbours preferred.

    Args:
        weights: of a head. [query, key]
        tokens: of the reaction's atoms.
    """
    reactants, products = reaction.of_side(REACTANT), reaction.of_side(PRODUCT)
    asked, asks = [tokens[i] for i in reactants], [tokens[i] for i in products]
    both = weights[np.ix_(asks, asked)].astype(np.float64) + weights[np.ix_(asked, asks)].T
    elements = [np.array([reaction.atoms[i].element for i in side]) for side in (products, reactants)]
    both = both * (elements[0][:, None] == elements[1])
    neighbours = reaction.neighbours()
    place = {atom: at for side in (reactants, products) for at, atom in enumerate(side)}
    factors = np.ones_like(both)
    atoms: dict[int, int] = {}
    chances: dict[int, float] = {}
    for _ in products:
        part = both * factors
        sums = part.sum(axis=1, keepdims=True)
        part = np.divide(part, sums, out=np.zeros_like(part), where=sums > 0)
        row, column = np.unravel_index(int(part.argmax()), part.shape) if part.size else (0, 0)
        if not part.size or part[row, column] == 0:
            break
        product, reactant = products[row], reactants[column]
        atoms[product], chances[product] = reactant, float(part[row, column])
        near = [place[i] for i in neighbours[product]], [place[i] for i in neighbours[reactant]]
        factors[np.ix_(*near)] *= NEIGHBOURS
        factors[row], factors[:, column] = 0, 0
    return AtomMap(atoms, chances, float(np.prod(list(chances.values()))) if chances else 0.0)
