"""Where the atoms of a molecule stand when it is drawn, and what chemistry forbids, by RDKit, which is optional."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from model.arrays.types import Array

MOST_ATOMS = 400  # of a molecule that is drawn: within a second; 3,000 take RDKit a minute, in which nothing else runs
BOND = 1.5  # RDKit's length of a bond; here it is 1


@dataclass(frozen=True, eq=False)
class DrawnMolecule:
    """A molecule in two dimensions.

    Attributes:
        places: of the atoms in the order of the text, across and down; a bond is about 1 long. float32 [atom, 2]
        impossible: number of an atom with more bonds than it can have; None where there is none.
    """

    places: Array
    impossible: int | None


def can_draw() -> bool:
    """Whether RDKit is here."""
    return find_spec("rdkit") is not None


def drawn_molecule(smiles: str, atoms: int) -> DrawnMolecule | None:
    """A molecule in two dimensions; None where RDKit is missing, fails, or reads another number of atoms.

    Args:
        atoms: number of atoms that the text writes; more than `MOST_ATOMS` are not drawn.
    """
    if atoms > MOST_ATOMS or not can_draw():
        return None
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDepictor

    with rdBase.BlockLogs(), suppress(RuntimeError, ValueError, OverflowError):  # of an atom with 100 bonds
        molecule = Chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None or molecule.GetNumAtoms() != atoms:
            return None
        problems = [one for one in Chem.DetectChemistryProblems(molecule) if hasattr(one, "GetAtomIdx")]
        molecule.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(molecule)
        rdDepictor.Compute2DCoords(molecule)
        return _drawn(molecule, problems)
    return None


def _drawn(molecule: Any, problems: list[Any]) -> DrawnMolecule:
    places = molecule.GetConformer().GetPositions()[:, :2] * [1, -1] / BOND
    return DrawnMolecule(places.astype(np.float32), problems[0].GetAtomIdx() if problems else None)
