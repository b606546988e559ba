"""Chains out of PDB and mmCIF files, read by Biopython, which is optional.

python -m model.structures.protein_files FILE CHAIN NAME SOURCE > assets/proteins/NAME.json
"""

from __future__ import annotations

import argparse
import io
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from model.errors import InputError
from model.structures.file_content import MAX_BYTES
from model.structures.protein import SHORTEST, KnownStructure, from_atoms, to_json

MAX_CHAINS, MAX_RESIDUES = 100, 3_000  # of a file, and of a chain: more than any model here reads
MAX_NAME = 20  # letters of a chain's name, which has four
FARTHEST = 1e5  # ångström; a PDB file has room for a tenth of it


def can_read() -> bool:
    """Whether Biopython is here."""
    return find_spec("Bio") is not None


def read_chains(content: bytes, name: str) -> tuple[KnownStructure, ...]:
    """The protein chains of a PDB or mmCIF file, each under the letter of its chain.

    Args:
        name: of the file, which is named as the source.

    Raises:
        InputError: Biopython is missing, the file cannot be read, or holds no chain of a protein.
    """
    if not can_read():
        raise InputError("structure_library", "Biopython reads such files: pip install -r requirements-apps.txt")
    if len(content) > MAX_BYTES:
        raise InputError("structure_heavy", "The file is larger than 20 MB; at most that is read.")
    from Bio.Data.PDBData import protein_letters_3to1_extended
    from Bio.PDB.MMCIFParser import MMCIFParser
    from Bio.PDB.PDBParser import PDBParser

    text = content.decode("utf-8", errors="replace")
    if not text.strip() or (text.lstrip().startswith("data_") and "_atom_site." not in text):
        raise InputError("structure_empty", "The file holds no atoms.")
    parser = MMCIFParser(QUIET=True) if text.lstrip().startswith("data_") else PDBParser(QUIET=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; what is read is looked at below
            models = [one for one in parser.get_structure("", io.StringIO(text)) if len(one)]
    except Exception as error:  # Biopython raises whatever a damaged line leads to
        raise InputError("structure_broken", "This is no PDB or mmCIF file that can be read to its end.") from error
    chains: list[KnownStructure] = []
    for chain in models[0] if models else ():
        residues = [
            (protein_letters_3to1_extended[one.get_resname()], {atom.get_id(): atom.coord for atom in one})
            for one in chain
            if one.get_resname() in protein_letters_3to1_extended
        ]
        if len(residues) > MAX_RESIDUES or len(chains) == MAX_CHAINS:
            raise InputError("structure_heavy", f"At most {MAX_CHAINS} chains of {MAX_RESIDUES} residues are read.")
        # Also numbers that are none.
        if not all(np.abs(place).max() < FARTHEST for _, atoms in residues for place in atoms.values()):
            raise InputError("structure_broken", "The file holds places that are none.")
        made = from_atoms(chain.id[:MAX_NAME], name, residues)
        if len(made.sequence) >= SHORTEST:
            chains.append(made)
    if not chains:
        raise InputError("structure_empty", "The file holds no chain of a protein.")
    return tuple(chains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("chain")
    parser.add_argument("name")
    parser.add_argument("source")
    args = parser.parse_args()
    found = {chain.name: chain for chain in read_chains(args.file.read_bytes(), args.file.name)}[args.chain]
    named = KnownStructure(args.name, args.source, found.sequence, found.places, found.forms, found.bridges)
    print(to_json(named), end="")


if __name__ == "__main__":
    main()
