"""Atom maps out of attention: heads made by hand, and RXNMapper's own figures."""

from __future__ import annotations

import numpy as np
import pytest

import model
from model.catalog.store import local_folder
from model.measures.structure.atom_map import atom_map, looks_at, mapped_atoms, right_atoms
from model.structures.reaction import bundled, known_map, read_reaction
from tests.model.measures.test_measures import made_up

ESTER = read_reaction("CC(=O)O.OCC>>CC(=O)OCC")
TOKENS = range(len(ESTER.atoms))
TRUE = known_map("CC(=O)O.OCC>>CC(=O)OCC")


def looking(pairs: dict[int, int]) -> np.ndarray:
    """Weights in which each product atom looks at one reactant atom."""
    weights = np.full((len(ESTER.atoms), len(ESTER.atoms)), 1e-3)
    for product, reactant in pairs.items():
        weights[product, reactant] = 1
    return weights / weights.sum(1, keepdims=True)


def test_heads_are_counted_by_what_their_atoms_look_at_most() -> None:
    assert TRUE == {7: 0, 8: 1, 9: 2, 10: 4, 11: 5, 12: 6}
    wrong = TRUE | {10: 3}  # the oxygen of the acid, which leaves
    found = mapped_atoms(made_up(looking(TRUE), looking(wrong), looking(dict.fromkeys(TRUE, 0))), ESTER, TOKENS, TRUE)
    assert found.hits.tolist() == [[6, 5, 1]]
    assert found.best == (0, 0)
    assert found.in_order == 5  # misses the oxygen, too
    assert looks_at(looking(wrong), ESTER, TOKENS) == wrong


def test_equal_atoms_are_right_too() -> None:
    reaction = read_reaction("CC(C)S>>CC(C)S")
    true = {4: 0, 5: 1, 6: 2, 7: 3}
    swapped = {4: 2, 5: 1, 6: 0, 7: 3}
    assert all(right_atoms(swapped, true, reaction.classes()).values())
    assert right_atoms({4: 1}, true, reaction.classes()) == {4: False}


def test_a_map_uses_each_atom_once_and_no_other_element() -> None:
    weights = looking({**TRUE, 12: 5, 9: 1})  # two want one carbon, an oxygen wants a carbon
    found = atom_map(weights, ESTER, TOKENS)
    assert len(set(found.atoms.values())) == len(found.atoms) == 6
    assert found.atoms[12] == 6
    assert all(ESTER.atoms[a].element == ESTER.atoms[b].element for a, b in found.atoms.items())
    assert found.confidence == pytest.approx(np.prod(list(found.chances.values())))
    assert atom_map(weights, read_reaction("O>>C"), [0, 1]).atoms == {}  # nothing of its element


@pytest.mark.skipif(local_folder("rxnmapper") is None, reason="run `python -m model.catalog get rxnmapper` first")
def test_the_confidence_is_that_of_rxnmapper_itself() -> None:
    """Its README: .9565619900376546 and .9704424331552834 for these two, which it writes in another order."""
    lens = model.load("rxnmapper", device="cpu")
    published = {"thioether": 0.9566, "cleavage": 0.9704}
    for known in bundled():
        if known.name not in published:
            continue
        reaction, true = read_reaction(known.smiles), known_map(known.smiles)
        attention = lens.trace(known.smiles).attentions["encoder"]
        tokens = [i for i, text in enumerate(attention.query_tokens) if text[0].isalpha() or text in ("[O-]", "[K+]")]
        made = atom_map(attention.weights(10)[5], reaction, tokens)
        assert true is not None
        assert all(right_atoms(made.atoms, true, reaction.classes()).values())
        assert made.confidence == pytest.approx(published[known.name], abs=2e-4)
