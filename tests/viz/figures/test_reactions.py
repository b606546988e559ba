"""A reaction as drawn molecules, for the page and as a figure."""

from __future__ import annotations

import numpy as np

from model.structures.molecules import DrawnMolecule
from model.structures.reaction import read_reaction
from viz.figures.reactions import Look, bond_lines, reaction_drawing, reaction_figure, reaction_layout
from viz.figures.theme import LIGHT
from viz.saving.still_image import still_image

REACTION = read_reaction("C=C.O>>CCO")
DRAWN = [DrawnMolecule(np.array([[i, 0.0] for i in range(n)], np.float32), None) for n in (2, 1, 3)]
LAYOUT = reaction_layout(REACTION, DRAWN)
TOKENS = (1, 3, 5, 7, 8, 9)
LOOKS = [Look(3, 0, True), Look(4, 1, False), Look(5, 2, None)]


def test_reactants_stand_beside_each_other_and_products_below() -> None:
    x, y = LAYOUT.places.T.tolist()
    assert x[0] < x[1] < x[2]
    assert len(set(y[:3])) == 1
    assert min(y[3:]) > LAYOUT.arrow[1] > max(y[:3])
    assert len(LAYOUT.plus) == 1
    assert x[1] < LAYOUT.plus[0][0] < x[2]
    assert LAYOUT.size[0] > max(x)
    assert LAYOUT.size[1] > max(y)


def test_a_wide_side_takes_more_rows() -> None:
    many = read_reaction(".".join(["CCCCC"] * 6) + ">>C")
    drawn = [DrawnMolecule(np.array([[i, 0.0] for i in range(n)], np.float32), None) for n in (5,) * 6 + (1,)]
    layout = reaction_layout(many, drawn)
    assert len(set(layout.places[:30, 1].tolist())) > 1
    assert layout.size[0] < 26


def test_a_double_bond_has_two_lines_and_an_aromatic_one_a_dashed_one() -> None:
    assert len(bond_lines(REACTION, LAYOUT)) == 4  # two of the double bond, two of the product
    ring = read_reaction("c1ccccc1>>C")
    at = np.array([[np.cos(i), np.sin(i)] for i in np.arange(6) * np.pi / 3], np.float32)
    lines = bond_lines(ring, reaction_layout(ring, [DrawnMolecule(at, None), DRAWN[1]]))
    assert sum(dashed for *_, dashed in lines) == 6


def test_the_browser_gets_atoms_as_tokens_and_lines_with_both_ends() -> None:
    tag, attributes, nodes = reaction_drawing(REACTION, LAYOUT, TOKENS, "encoder", list("abcdef"), LOOKS)
    assert tag == "svg"
    assert "viewBox" in attributes  # type: ignore[operator]
    atoms = [node for node in nodes if node[0] == "g"]  # type: ignore[union-attr]
    assert [node[1]["data-place"] for node in atoms] == list(TOKENS)  # type: ignore[index]
    assert [node[2][1][2] for node in atoms] == ["C", "C", "O", "C", "C", "O"]  # type: ignore[index]
    arcs = [node[1] for node in nodes if node[0] == "path"]  # type: ignore[union-attr]
    assert [(arc["class"], arc["data-places"]) for arc in arcs] == [  # type: ignore[index]
        ("arc right", "7 1"),
        ("arc missed", "8 3"),
        ("arc", "9 5"),
    ]


def test_the_figure_tints_each_atom_by_its_weight() -> None:
    tints = np.array([1, 0, 0, 0, 0, 0.5], np.float32)
    figure = reaction_figure(REACTION, LAYOUT, tints, 3, LOOKS, "Title", LIGHT)
    atoms = figure.data[-1]
    np.testing.assert_allclose(atoms.x, LAYOUT.places[:, 0], rtol=1e-6)
    page = f"rgb({','.join(str(int(LIGHT.page[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert [colour == page for colour in atoms.marker.color] == [False, True, True, True, True, False]
    assert list(atoms.marker.line.width) == [1, 1, 1, 3, 1, 1]
    lines = {trace.name: trace for trace in figure.data if trace.showlegend}
    assert set(lines) == {"right", "elsewhere", "looks at"}
    assert lines["right"].x[0] == atoms.x[3]
    assert lines["right"].x[-2] == atoms.x[0]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # reactants above
    assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")
