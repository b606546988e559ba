"""A reaction as drawn molecules, reactants above products, with lines from product atoms to where a head looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.structures.molecules import DrawnMolecule
from model.structures.reaction import PRODUCT, REACTANT, Reaction
from viz.figures.theme import Palette, base_figure
from viz.language.messages import say

WIDEST = 22.0  # bond lengths of a row of molecules
GAP, BETWEEN = 1.8, 2.6  # between molecules of a row, and between the sides
RADIUS = 0.36  # of an atom
UNIT = 46  # pixels of a bond
APART = 0.07  # half the distance of the lines of a double bond

Node = list[object]  # tag, attributes, and a text or nodes: what the browser makes SVG of


@dataclass(frozen=True, eq=False)
class ReactionLayout:
    """Where all atoms stand. places: float32 [atom, 2]; size: across and down; plus, arrow: where signs stand."""

    places: np.ndarray
    size: tuple[float, float]
    plus: tuple[tuple[float, float], ...]
    arrow: tuple[float, float]


@dataclass(frozen=True)
class Look:
    """The reactant atom that a product atom looks at most, and whether that is right; None where it is not known."""

    product: int
    reactant: int
    right: bool | None


def reaction_layout(reaction: Reaction, drawn: Sequence[DrawnMolecule]) -> ReactionLayout:
    """Reactants in rows above, products below. drawn: of each molecule of the reaction, in its order"""
    numbers: list[list[int]] = [[] for _ in drawn]
    for i, atom in enumerate(reaction.atoms):
        numbers[atom.molecule].append(i)
    places = np.zeros((len(reaction.atoms), 2), np.float32)
    plus: list[tuple[float, float]] = []
    top, arrow, widest = 1.0, (0.0, 0.0), 0.0
    for side in (REACTANT, PRODUCT):
        left = row_height = 0.0
        for number, molecule in enumerate(drawn):
            if not numbers[number] or reaction.atoms[numbers[number][0]].side != side:
                continue
            low, high = molecule.places.min(axis=0), molecule.places.max(axis=0)
            across, down = (high - low).tolist()
            if left and left + across > WIDEST:
                top, left, row_height = top + row_height + GAP, 0.0, 0.0
            elif left:
                plus.append((left - GAP / 2 + 1, top))
            places[numbers[number]] = molecule.places - low + [left + 1, top]
            left, row_height = left + across + GAP, max(row_height, down)
            widest = max(widest, left - GAP + 2)
        top += row_height
        if side == REACTANT:
            arrow, top = (0.35, top + BETWEEN / 2), top + BETWEEN
    return ReactionLayout(places, (widest, top + 1), tuple(plus), arrow)


def bond_lines(reaction: Reaction, layout: ReactionLayout) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    """The lines of all bonds: both ends, and whether it is the dashed one of an aromatic bond."""
    found = []
    for a, b, order in reaction.bonds:
        start, end = layout.places[a], layout.places[b]
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        aside = np.array([-along[1], along[0]], np.float32)
        start, end = start + RADIUS * along, end - RADIUS * along
        shifts = {1.0: (0,), 1.5: (-APART, APART), 2.0: (-APART, APART), 3.0: (-2 * APART, 0, 2 * APART)}
        for number, shift in enumerate(shifts.get(order, (0,))):
            found.append((start + shift * aside, end + shift * aside, order == 1.5 and number == 0))
    return found


def _label(reaction: Reaction, atom: int) -> str:
    one = reaction.atoms[atom]
    return f"{one.element}{one.charge.replace('-', '−')}"


def reaction_drawing(
    reaction: Reaction,
    layout: ReactionLayout,
    tokens: Sequence[int],
    stack: str,
    names: Sequence[str],
    looks: Sequence[Look],
) -> Node:
    """The reaction for the browser: its atoms are tokens that can be pointed at, as those of a text.

    Args:
        tokens: position of each atom's token; names: what a screen reader says of each atom.
        looks: the lines from products to reactants.
    """
    nodes: list[Node] = []
    for start, end, dashed in bond_lines(reaction, layout):
        ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        nodes.append(["line", {"class": "bond dashed" if dashed else "bond"} | _rounded(ends)])
    for look in looks:
        kind = {True: "arc right", False: "arc missed", None: "arc"}[look.right]
        places = f"{tokens[look.product]} {tokens[look.reactant]}"
        nodes.append(["path", {"class": kind, "data-places": places, "d": _curve(layout, look)}])
    for x, y in layout.plus:
        nodes.append(["text", {"class": "sign"} | _rounded({"x": x, "y": y}), "+"])
    nodes.append(["text", {"class": "sign"} | _rounded({"x": layout.arrow[0], "y": layout.arrow[1]}), "↓"])
    for i, (x, y) in enumerate(layout.places.tolist()):
        attributes = {"class": "read-token atom", "tabindex": 0 if i == 0 else -1, "role": "button"}
        attributes |= {"aria-label": names[i], "data-stack": stack, "data-place": tokens[i]}
        inner: list[Node] = [
            ["circle", _rounded({"cx": x, "cy": y, "r": RADIUS})],
            ["text", _rounded({"x": x, "y": y}), _label(reaction, i)],
        ]
        nodes.append(["g", attributes, inner])
    width, height = layout.size
    return ["svg", {"viewBox": f"0 0 {width:.2f} {height:.2f}", "style": f"max-width: {UNIT * width:.0f}px"}, nodes]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in values.items()}


def _curve(layout: ReactionLayout, look: Look) -> str:
    """An SVG path between the two atoms of a look, bent a little."""
    (x0, y0), (x1, y1) = layout.places[look.product].tolist(), layout.places[look.reactant].tolist()
    middle = (y0 + y1) / 2
    return f"M{x0:.2f} {y0 - RADIUS:.2f}C{x0:.2f} {middle:.2f} {x1:.2f} {middle:.2f} {x1:.2f} {y1 + RADIUS:.2f}"


def reaction_figure(
    reaction: Reaction,
    layout: ReactionLayout,
    tints: np.ndarray,
    focus: int | None,
    looks: Sequence[Look],
    title: str,
    palette: Palette,
) -> go.Figure:
    """The reaction as a figure to save: atoms are tinted by one token's weights, lines join them as on the page.

    Args:
        tints: of each atom, 0 to 1. [atom]
        focus: the atom whose weights these are; None for another token.
        looks: the lines from products to reactants.
    """
    width, height = layout.size
    figure = base_figure(title, palette, height=round(UNIT * height) + 80)
    quiet = {"hoverinfo": "skip", "showlegend": False, "mode": "lines"}
    for dashed in (False, True):
        lines = [(start, end) for start, end, kind in bond_lines(reaction, layout) if kind == dashed]
        x, y = ([at for one in lines for at in (float(one[0][axis]), float(one[1][axis]), None)] for axis in (0, 1))
        dash = {"dash": "dot"} if dashed else {}
        figure.add_scatter(x=x, y=y, line={"color": palette.text, "width": 1.5} | dash, **quiet)
    for right in (True, False, None):
        chosen = [look for look in looks if look.right is right]
        x, y = ([at for one in chosen for at in (*_bent(layout, one)[axis], None)] for axis in (0, 1))
        if x:
            line = {"color": palette.forbidden if right is False else palette.second, "width": 1.5}
            name = say(f"chemistry.{'origin' if right is None else 'right' if right else 'wrong'}")
            kind = {"dash": "dot"} if right is False else {}
            figure.add_scatter(x=x, y=y, line=line | kind, name=name, showlegend=True, mode="lines", hoverinfo="skip")
    tint = [int(palette.accent[i : i + 2], 16) for i in (1, 3, 5)]
    page = [int(palette.page[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [[round(a * share + b * (1 - share)) for a, b in zip(tint, page, strict=True)] for share in 0.7 * tints]
    edges = [palette.second if i == focus else palette.faint for i in range(len(tints))]
    figure.add_scatter(
        x=layout.places[:, 0].tolist(),
        y=layout.places[:, 1].tolist(),
        text=[_label(reaction, i) for i in range(len(reaction.atoms))],
        mode="markers+text",
        textposition="middle center",
        textfont={"size": 12, "color": palette.text},
        marker={
            "size": 20,
            "color": [f"rgb({r},{g},{b})" for r, g, b in mixed],
            "line": {"width": [3 if i == focus else 1 for i in range(len(tints))], "color": edges},
        },
        hoverinfo="skip",
        showlegend=False,
    )
    bare = {"visible": False, "fixedrange": True}
    figure.update_layout(
        showlegend=bool(looks),
        legend={"y": -0.02},
        xaxis={"range": [0, width]} | bare,
        yaxis={"range": [height, 0], "scaleanchor": "x"} | bare,
    )
    return figure


def _bent(layout: ReactionLayout, look: Look) -> tuple[list[float], list[float]]:
    """Points of the curve between the two atoms of a look."""
    steps = np.linspace(0, 1, 13)
    (x0, y0), (x1, y1) = layout.places[look.product].tolist(), layout.places[look.reactant].tolist()
    middle = (y0 + y1) / 2
    parts = [(1 - steps) ** 3, 3 * steps * (1 - steps) ** 2, 3 * steps**2 * (1 - steps), steps**3]
    x = sum(part * at for part, at in zip(parts, (x0, x0, x1, x1), strict=True))
    y = sum(part * at for part, at in zip(parts, (y0, middle, middle, y1), strict=True))
    return np.asarray(x).tolist(), np.asarray(y).tolist()
