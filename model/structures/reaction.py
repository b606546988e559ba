"""A chemical reaction in SMILES (Weininger 1988): atoms and bonds by their places in the text, and what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from model.assets import ASSETS

SYMBOLS = (
    "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXeCsBaLaCePrNdPmSmEuGd"
    "TbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRn*"
)
ELEMENTS = frozenset(re.findall(r"[A-Z][a-z]?|\*", SYMBOLS))
ORGANIC = re.compile(r"Cl|Br|[BCNOPSFI*]|[bcnops]")
# No more digits than chemistry calls for.
BRACKET = re.compile(r"\[(\d{0,3})([A-Z][a-z]?|[a-z]{1,2}|\*)(@{0,2})(H\d?)?([+-]{1,9}\d{0,2})?(?::(\d{1,9}))?\]")
BONDS = {"-": 1.0, "=": 2.0, "#": 3.0, "$": 4.0, ":": 1.5, "/": 1.0, "\\": 1.0}
REACTANT, PRODUCT = 0, 1


class ReactionError(ValueError):
    """A text is no reaction.

    Attributes:
        reason: "arrow", "side", "letter", "bracket", "branch" or "ring"; place: of a letter, from 0.
    """

    def __init__(self, reason: str, place: int) -> None:
        super().__init__(f"{reason} at {place}")
        self.reason, self.place = reason, place


@dataclass(frozen=True)
class Atom:
    """One atom as it is written.

    Attributes:
        span: first letter of its symbol, and the letter after it.
        charge: as written, such as "+"; number: its atom-map number, 0 for none.
        side: `REACTANT` (which what stands over the arrow is, too) or `PRODUCT`; molecule: its number in the text.
    """

    element: str
    span: tuple[int, int]
    aromatic: bool
    charge: str
    number: int
    side: int
    molecule: int


@dataclass(frozen=True)
class Reaction:
    """Atoms in the order of the text; bonds between their numbers, with their orders; the text of each molecule."""

    atoms: tuple[Atom, ...]
    bonds: tuple[tuple[int, int, float], ...]
    molecules: tuple[str, ...]

    def of_side(self, side: int) -> tuple[int, ...]:
        """The atoms of one side of the arrow."""
        return tuple(i for i, atom in enumerate(self.atoms) if atom.side == side)

    def neighbours(self) -> list[set[int]]:
        """The atoms that each atom is bound to."""
        found: list[set[int]] = [set() for _ in self.atoms]
        for a, b, _ in self.bonds:
            found[a].add(b)
            found[b].add(a)
        return found

    def classes(self) -> list[int]:
        """A number for each atom, equal for atoms that no symmetry tells apart (refined by neighbours, Morgan 1965)."""
        bound: list[list[tuple[int, float]]] = [[] for _ in self.atoms]
        for a, b, order in self.bonds:
            bound[a].append((b, order))
            bound[b].append((a, order))
        keys: list[object] = [(one.element, one.aromatic, one.charge, one.side) for one in self.atoms]
        colours = _numbered(keys)
        for _ in self.atoms:
            around = [tuple(sorted((colours[b], order) for b, order in those)) for those in bound]
            refined = _numbered(list(zip(colours, around, strict=True)))
            if max(refined, default=0) == max(colours, default=0):
                break
            colours = refined
        return colours

    def true_map(self) -> dict[int, int]:
        """Product atom -> reactant atom of the same atom-map number."""
        found = {self.atoms[i].number: i for i in self.of_side(REACTANT) if self.atoms[i].number}
        return {i: found[self.atoms[i].number] for i in self.of_side(PRODUCT) if self.atoms[i].number in found}


def _numbered(keys: Sequence[object]) -> list[int]:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def read_reaction(text: str) -> Reaction:
    """The atoms and bonds of a reaction "reactants>>products", or "reactants>agents>products".

    Raises:
        ReactionError: it is none; says why and where.
    """
    arrows = [i for i, letter in enumerate(text) if letter == ">"]
    if len(arrows) != 2:
        raise ReactionError("arrow", arrows[2] if len(arrows) > 2 else len(text))
    sides = [(0, arrows[0], REACTANT), (arrows[0] + 1, arrows[1], REACTANT), (arrows[1] + 1, len(text), PRODUCT)]
    if not text[: arrows[0]].strip() or not text[arrows[1] + 1 :].strip():
        raise ReactionError("side", arrows[0])
    reader = _Reader(text)
    for start, stop, side in sides:
        for first, last in _molecules(text, start, stop):
            reader.molecule(first, last, side)
    return Reaction(tuple(reader.atoms), tuple(reader.bonds), tuple(reader.texts))


def read_molecules(text: str) -> tuple[Atom, ...]:
    """The atoms of one molecule or more in SMILES, parted by dots.

    Raises:
        ReactionError: it is none; says why and where.
    """
    reader = _Reader(text)
    for first, last in _molecules(text, 0, len(text)):
        reader.molecule(first, last, REACTANT)
    return tuple(reader.atoms)


def _molecules(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """First letter of each molecule of a side, and the letter after it."""
    return [(start + one.start(), start + one.end()) for one in re.finditer(r"[^.~\s]+", text[start:stop])]


class _Reader:
    """Reads molecules one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.atoms: list[Atom] = []
        self.bonds: list[tuple[int, int, float]] = []
        self.texts: list[str] = []

    def molecule(self, start: int, stop: int, side: int) -> None:
        """Add the atoms and bonds of one molecule."""
        before: int | None = None
        order: float | None = None
        branches: list[tuple[int | None, int]] = []
        rings: dict[str, tuple[int, float | None, int]] = {}
        at = start
        while at < stop:
            letter = self.text[at]
            ring = re.compile(r"%\d\d|\d").match(self.text, at, stop)
            if letter == "(" and before is not None:
                branches.append((before, at))
            elif letter == ")" and branches:
                before = branches.pop()[0]
            elif letter in BONDS:
                order = BONDS[letter]
            elif ring and before is not None:
                self._ring(ring[0], at, before, order, rings)
                order, at = None, ring.end() - 1
            elif letter in "()%" or letter.isdigit():
                raise ReactionError("branch" if letter in "()" else "ring", at)
            else:
                atom, at = self._atom(at, stop, side)
                if before is not None:
                    self._bind(before, len(self.atoms), order, atom)
                before, order = len(self.atoms), None
                self.atoms.append(atom)
            at += 1
        if branches or rings:
            opened = [at for _, at in branches] or [at for *_, at in rings.values()]
            raise ReactionError("branch" if branches else "ring", opened[-1])
        self.texts.append(self.text[start:stop])

    def _ring(
        self, number: str, at: int, atom: int, order: float | None, rings: dict[str, tuple[int, float | None, int]]
    ) -> None:
        """Open a ring, or close it."""
        if number in rings:
            other, first, _ = rings.pop(number)
            self._bind(other, atom, order or first, self.atoms[atom])
        else:
            rings[number] = atom, order, at

    def _bind(self, a: int, b: int, order: float | None, atom: Atom) -> None:
        aromatic = self.atoms[a].aromatic and atom.aromatic
        self.bonds.append((a, b, order or (1.5 if aromatic else 1.0)))

    def _atom(self, at: int, stop: int, side: int) -> tuple[Atom, int]:
        """The atom at a letter, and its last letter."""
        if self.text[at] == "[":
            found = BRACKET.match(self.text, at, stop)
            if not found or found[2].capitalize() not in ELEMENTS:
                raise ReactionError("bracket", at)
            symbol, charge, number = found[2], found[5] or "", int(found[6] or 0)
        else:
            found = ORGANIC.match(self.text, at, stop)
            if not found:
                raise ReactionError("letter", at)
            symbol, charge, number = found[0], "", 0
        aromatic = symbol[0].islower()
        span = found.start(), found.end()
        return Atom(symbol.capitalize(), span, aromatic, charge, number, side, len(self.texts)), found.end() - 1


@dataclass(frozen=True)
class KnownReaction:
    """A reaction whose atom map is known. name: of its text in the interface; smiles: without numbers; mapped: with."""

    name: str
    smiles: str
    mapped: str


@cache
def bundled() -> tuple[KnownReaction, ...]:
    """The reactions of `assets/reactions.toml`."""
    found = tomllib.loads((ASSETS / "reactions.toml").read_text(encoding="utf-8"))["reaction"]
    return tuple(KnownReaction(**one) for one in found)


def known_map(smiles: str) -> dict[int, int] | None:
    """The true atom map of a reaction as it is typed, product atom -> reactant atom; None where it is not known."""
    known = next((one for one in bundled() if one.smiles == smiles), None)
    return read_reaction(known.mapped).true_map() if known else None


def same_skeleton(one: Reaction, other: Reaction) -> bool:
    """Whether two texts hold the same atoms and bonds in the same order, whatever their numbers."""
    plain = [[replace(atom, number=0, span=(0, 0)) for atom in made.atoms] for made in (one, other)]
    return plain[0] == plain[1] and Counter(one.bonds) == Counter(other.bonds)
