"""SMILES of reactions: atoms and bonds at their places, what is wrong and where, equal atoms, and the known maps."""

from __future__ import annotations

import pytest

from model.structures import molecules
from model.structures.molecules import can_draw, drawn_molecule
from model.structures.reaction import (
    PRODUCT,
    REACTANT,
    ReactionError,
    bundled,
    known_map,
    read_reaction,
    same_skeleton,
)


def test_atoms_and_bonds_stand_where_they_are_written() -> None:
    text = "Clc1cc[nH]c1.[Na+]>O=S>C#C(/C)C%12CC%12"
    found = read_reaction(text)
    assert [text[slice(*atom.span)] for atom in found.atoms] == (
        ["Cl", "c", "c", "c", "[nH]", "c", "[Na+]", "O", "S", "C", "C", "C", "C", "C", "C"]
    )
    assert [atom.element for atom in found.atoms[4:8]] == ["N", "C", "Na", "O"]
    assert found.atoms[6].charge == "+"
    assert [atom.aromatic for atom in found.atoms[:3]] == [False, True, True]
    assert found.of_side(REACTANT) == tuple(range(9))  # what stands over the arrow is among them
    assert found.of_side(PRODUCT) == tuple(range(9, 15))
    assert found.molecules == ("Clc1cc[nH]c1", "[Na+]", "O=S", "C#C(/C)C%12CC%12")
    orders = {pair[:2]: pair[2] for pair in found.bonds}
    assert orders[0, 1] == 1
    assert orders[1, 2] == orders[1, 5] == 1.5  # aromatic, the latter by the ring's number
    assert orders[7, 8] == 2
    assert orders[9, 10] == 3
    assert (10, 12) in orders  # after the branch
    assert (12, 14) in orders
    assert found.neighbours()[10] == {9, 11, 12}


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("CCO", "arrow", 3),
        ("C>C>C>C", "arrow", 5),
        ("CCO>>", "side", 3),
        (">>CCO", "side", 0),
        ("CxC>>C", "letter", 1),
        ("C[Xx]>>C", "bracket", 1),
        ("[C>>C", "bracket", 0),
        ("CC(C>>C", "branch", 2),
        ("C)C>>C", "branch", 1),
        ("C1CC>>C", "ring", 1),
        ("1C>>C", "ring", 0),
        ("C[CH4:" + "9" * 5000 + "]>>C", "bracket", 1),
        ("[" + "9" * 5000 + "C]>>C", "bracket", 0),
        ("[C" + "+" * 5000 + "]>>C", "bracket", 0),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, reason: str, place: int) -> None:
    with pytest.raises(ReactionError) as caught:
        read_reaction(text)
    assert (caught.value.reason, caught.value.place) == (reason, place)


def test_equal_atoms_have_one_class() -> None:
    found = read_reaction("CC(C)S.[K+].[K+].Cc1ccccc1>>CC(C)S")
    classes = found.classes()
    assert classes[0] == classes[2] != classes[1]  # both methyls
    assert classes[4] == classes[5]  # both ions
    ring = classes[7:13]
    assert ring[1] == ring[5] != ring[2] == ring[4] != ring[3]  # both ortho, both meta
    assert classes[13] != classes[0]  # the other side of the arrow


@pytest.mark.parametrize("known", bundled(), ids=lambda one: one.name)
def test_known_maps_fit_their_reactions(known: object) -> None:
    plain, mapped = read_reaction(known.smiles), read_reaction(known.mapped)  # type: ignore[attr-defined]
    assert same_skeleton(plain, mapped)
    true = known_map(known.smiles)  # type: ignore[attr-defined]
    assert true is not None
    assert set(true) == set(plain.of_side(PRODUCT))  # every atom of the product comes from somewhere
    assert len(set(true.values())) == len(true)  # and no two from one
    assert all(plain.atoms[a].element == plain.atoms[b].element for a, b in true.items())
    assert known_map("CCO>>CC=O") is None


def test_molecules_are_drawn_with_bonds_of_one_length() -> None:
    if not can_draw():
        pytest.skip("RDKit is missing: pip install -r requirements-apps.txt")
    found = read_reaction("O=C(c1ccccc1)N1CCOCC1>>C")
    drawn = drawn_molecule(found.molecules[0], 14)
    assert drawn is not None
    assert drawn.impossible is None
    for a, b, _ in found.bonds:
        assert ((drawn.places[a] - drawn.places[b]) ** 2).sum() ** 0.5 == pytest.approx(1, abs=0.15)
    assert drawn_molecule("CC(C)(C)(C)C", 6).impossible == 1  # type: ignore[union-attr]  # five bonds
    assert drawn_molecule("CC", 3) is None  # read another way than here


@pytest.mark.parametrize(
    ("smiles", "atoms"),
    [
        ("C" + "(C)" * 150, 151),  # one atom with 150 bonds
        ("C(" * 300 + "C" + ")" * 300, 301),
        ("".join(f"C%{i}" for i in range(10, 99)) + "".join(f"C%{i}" for i in range(98, 9, -1)), 178),
        ("[999999999999999999999C]", 1),
        ("[CH99999999999]", 1),
        ("C1C1", 2),
    ],
)
def test_monstrous_molecules_are_drawn_or_not_and_stop_nothing(smiles: str, atoms: int) -> None:
    if not can_draw():
        pytest.skip("RDKit is missing: pip install -r requirements-apps.txt")
    drawn = drawn_molecule(smiles, atoms)
    assert drawn is None or drawn.places.shape == (atoms, 2)


def test_a_molecule_of_thousands_of_atoms_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(molecules, "can_draw", lambda: pytest.fail("RDKit would take a minute"))
    assert drawn_molecule("C(" * 3000 + "C" + ")" * 3000, 3001) is None
