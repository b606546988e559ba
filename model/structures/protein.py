"""The known structure of a protein: which residues touch, which form helices and strands, which are joined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from model.arrays.types import Array
from model.assets import ASSETS

FOLDER = ASSETS / "proteins"
RESIDUES = frozenset("ACDEFGHIKLMNPQRSTVWYBZXUO")  # the letters of IUPAC
TOUCH, BRIDGE = 8.0, 2.5  # ångström: between C-beta atoms of residues that touch, between joined sulphurs
BOND = -0.5  # kcal/mol: the energy of a hydrogen bond, Kabsch and Sander 1983
BACKBONE = ("N", "CA", "C", "O")
SHORTEST = 8  # residues of a chain that is looked for
ROWS = 128  # residues whose distances to all others are held at once


@dataclass(frozen=True, eq=False)
class KnownStructure:
    """A chain whose structure was measured.

    Attributes:
        name: what it is; source: where its coordinates are from.
        sequence: its residues that were seen, a letter each.
        places: of the C-beta atoms (C-alpha of glycine) in ångström. float32 [residue, 3]
        forms: of each residue "H" (helix), "E" (strand) or "-".
        bridges: pairs of joined cysteines.
    """

    name: str
    source: str
    sequence: str
    places: Array
    forms: str
    bridges: tuple[tuple[int, int], ...]

    @cached_property
    def contacts(self) -> Array:
        """Which residues touch. bool [residue, residue]"""
        apart = np.linalg.norm(self.places[:, None] - self.places, axis=-1)
        found: Array = apart < TOUCH
        return found

    def part(self, sequence: str) -> KnownStructure | None:
        """The part with a sequence; None where the chain does not contain it."""
        start = self.sequence.find(sequence)
        if start < 0:
            return None
        stop = start + len(sequence)
        bridges = tuple((a - start, b - start) for a, b in self.bridges if start <= a < b < stop)
        return KnownStructure(
            self.name, self.source, sequence, self.places[start:stop], self.forms[start:stop], bridges
        )


def bundled() -> tuple[KnownStructure, ...]:
    """The chains of `assets/proteins`."""
    return tuple(read(file) for file in sorted(FOLDER.glob("*.json")))


def read(file: Path) -> KnownStructure:
    """A chain that `to_json` wrote."""
    found = json.loads(file.read_text(encoding="utf-8"))
    places = np.array(found["places"], np.float32).reshape(-1, 3) / 10
    bridges = tuple((a, b) for a, b in found["bridges"])
    return KnownStructure(found["name"], found["source"], found["sequence"], places, found["forms"], bridges)


def to_json(chain: KnownStructure) -> str:
    """A chain as a file: places in tenths of an ångström."""
    head = {"name": chain.name, "source": chain.source, "sequence": chain.sequence, "forms": chain.forms}
    places = (10 * chain.places).round().astype(int).ravel().tolist()
    return json.dumps(head | {"bridges": chain.bridges, "places": places}) + "\n"


def known_structure(sequence: str, chains: Iterable[KnownStructure]) -> KnownStructure | None:
    """The part of the first chain that contains a sequence; None where none does, or the sequence is very short."""
    if len(sequence) < SHORTEST:
        return None
    return next((part for chain in chains if (part := chain.part(sequence))), None)


def plain_sequence(text: str) -> str:
    """The letters of a sequence without FASTA headers, spaces and line ends, as they are typed."""
    return "".join("".join(line for line in text.split("\n") if not line.startswith(">")).split())


def wrong_residue(text: str) -> int | None:
    """Place, from 0, of the first letter that stands for no residue; None where all do."""
    return next((i for i, letter in enumerate(text) if letter.upper() not in RESIDUES), None)


def from_atoms(name: str, source: str, residues: Iterable[tuple[str, Mapping[str, Array]]]) -> KnownStructure:
    """A chain from the atoms of its residues.

    Args:
        residues: the letter of each, and its atoms' places in ångström, [3]; those without N, CA, C and O are left out.
    """
    kept = [(letter, atoms) for letter, atoms in residues if set(BACKBONE) <= set(atoms)]
    places = np.array([atoms.get("CB", atoms["CA"]) for _, atoms in kept], np.float32).reshape(-1, 3)
    sulphurs = [(i, atoms["SG"]) for i, (_, atoms) in enumerate(kept) if "SG" in atoms]
    bridges = _bridges([i for i, _ in sulphurs], np.array([place for _, place in sulphurs], float).reshape(-1, 3))
    backbone = {
        atom: np.array([atoms[atom] for _, atoms in kept], float).reshape(-1, 3) for atom in ["N", "CA", "C", "O"]
    }
    sequence = "".join(letter for letter, _ in kept)
    return KnownStructure(name, source, sequence, places, secondary_structure(backbone), bridges)


def _bridges(numbers: Sequence[int], sulphurs: Array) -> tuple[tuple[int, int], ...]:
    """Pairs of joined cysteines: each with the nearest after it. sulphurs: their places, [cysteine, 3]"""
    found = []
    for row, number in enumerate(numbers[:-1]):
        apart = np.linalg.norm(sulphurs[row + 1 :] - sulphurs[row], axis=1)
        nearest = int(apart.argmin())
        if apart[nearest] < BRIDGE:
            found.append((number, numbers[row + 1 + nearest]))
    return tuple(found)


def secondary_structure(backbone: Mapping[str, Array]) -> str:
    """Helix "H", strand "E" or "-" of each residue, by the hydrogen bonds of the backbone (Kabsch and Sander 1983).

    Args:
        backbone: places of N, CA, C and O. float64 [residue, 3] each
    """
    bonds = _hydrogen_bonds(backbone)
    count = len(bonds)
    forms = ["-"] * count
    if count > 2:  # of residues i and j: whether i-1 is bound to j, i to j+1, i to j, and i-1 to j+1
        before, after, both, across = bonds[:-2, 1:-1], bonds[1:-1, 2:], bonds[1:-1, 1:-1], bonds[:-2, 2:]
        parallel = (before & after.T) | (before.T & after)
        opposed = (both & both.T) | (across & across.T)
        beside = np.triu(parallel | opposed, 3)
        for inner in np.flatnonzero(beside.any(axis=0) | beside.any(axis=1)).tolist():
            forms[inner + 1] = "E"
    for i in range(1, count - 4):
        if bonds[i - 1, i + 3] and bonds[i, i + 4]:
            forms[i : i + 4] = "HHHH"
    return "".join(forms)


def _hydrogen_bonds(backbone: Mapping[str, Array]) -> Array:
    """Whether the C=O of one residue is bound to the N-H of another. bool [C=O, N-H]"""
    n, c, o = (backbone[atom] for atom in ("N", "C", "O"))
    count = len(n)
    found = np.zeros((count, count), bool)
    if count < 2:
        return found
    numbers = np.arange(count)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = c - o
        away = away / np.linalg.norm(away, axis=1, keepdims=True)
        h = np.full_like(n, np.nan)
        h[1:] = n[1:] + away[:-1]  # opposite to the C=O before it, an ångström away
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)

            def apart(one: Array, other: Array, rows: slice = rows) -> Array:
                return np.linalg.norm(one[rows, None] - other, axis=-1)

            energy = 27.9 * (1 / apart(o, n) + 1 / apart(c, h) - 1 / apart(o, h) - 1 / apart(c, n))
            near = np.abs(np.subtract.outer(numbers[rows], numbers)) < 2
            found[rows] = np.where(near | np.isnan(energy), 0, energy) < BOND
    return found
