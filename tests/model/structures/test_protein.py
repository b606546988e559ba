"""Known structures: contacts, helices by their hydrogen bonds, joined cysteines, and files of others."""

from __future__ import annotations

import time

import numpy as np
import pytest

from model.errors import InputError
from model.structures import protein, protein_files
from model.structures.protein import (
    bundled,
    from_atoms,
    known_structure,
    read,
    secondary_structure,
    to_json,
    wrong_residue,
)

CHAINS = {chain.name: chain for chain in bundled()}
# Radius, angle and height of the atoms of a residue in an ideal alpha helix.
HELIX = {"N": (1.55, -27.6, -0.87), "CA": (2.29, 0, 0), "C": (1.66, 26.1, 1.11), "O": (2.03, 19, 2.30)}


def helix(count: int, turn: float = 100) -> dict[str, np.ndarray]:
    def place(i: int, radius: float, angle: float, height: float) -> list[float]:
        at = np.radians(angle + turn * i)
        return [radius * np.cos(at), radius * np.sin(at), height + 1.5 * i]

    return {atom: np.array([place(i, *where) for i in range(count)]) for atom, where in HELIX.items()}


def test_an_ideal_helix_is_one_and_a_stretched_one_is_not() -> None:
    assert secondary_structure(helix(12)) == "-HHHHHHHHHH-"
    stretched = {atom: places * [1, 1, 2.3] for atom, places in helix(12).items()}
    assert secondary_structure(stretched) == "-" * 12
    assert secondary_structure(helix(1)) == "-"


def test_the_capsid_has_the_helices_and_the_bridge_that_its_file_names() -> None:
    chain = CHAINS["HIV capsid, second half"]
    assert chain.bridges == ((198 - 151, 218 - 151),)  # SSBOND; the first residue is 151
    for first, last in ((161, 175), (179, 187), (196, 205), (211, 217)):  # HELIX, whose ends hydrogen bonds leave open
        assert set(chain.forms[first - 151 + 1 : last - 151 - 1]) == {"H"}
    assert "E" not in chain.forms


def test_trypsin_has_its_six_bridges_and_an_antibody_is_made_of_strands() -> None:
    named = ((7, 137), (25, 41), (109, 210), (116, 183), (148, 162), (173, 197))  # as its file counts, from 1
    trypsin = CHAINS["Trypsin"]
    assert {(a + 1, b + 1) for a, b in trypsin.bridges} == set(named)
    assert all(trypsin.sequence[i] == "C" for pair in trypsin.bridges for i in pair)
    forms = CHAINS["Nanobody Nb35"].forms
    assert forms.count("E") > 30
    assert "H" not in forms
    for chain in CHAINS.values():
        assert (chain.contacts == chain.contacts.T).all()
        assert all(chain.contacts[pair] for pair in chain.bridges)
        assert len(chain.forms) == len(chain.sequence) == len(chain.places)


def test_a_part_of_a_chain_is_found_with_its_bridges(tmp_path: object) -> None:
    whole = CHAINS["Nanobody Nb35"]
    part = known_structure(whole.sequence[20:110], CHAINS.values())
    assert part is not None
    assert part.name == whole.name
    assert part.bridges == ((1, 75), (78, 86))
    np.testing.assert_array_equal(part.contacts, whole.contacts[20:110, 20:110])
    assert known_structure(whole.sequence[20:90], CHAINS.values()).bridges == ()  # type: ignore[union-attr]
    assert known_structure("ACDEFGHIKL", CHAINS.values()) is None
    assert known_structure("QVQ", CHAINS.values()) is None  # too short to be meant


def test_what_is_written_is_read_back(tmp_path: object) -> None:
    chain = CHAINS["Trypsin"]
    file = tmp_path / "chain.json"  # type: ignore[operator]
    file.write_text(to_json(chain))
    again = read(file)
    assert (again.sequence, again.forms, again.bridges) == (chain.sequence, chain.forms, chain.bridges)
    np.testing.assert_allclose(again.places, chain.places, atol=0.06)


def test_residues_without_a_backbone_are_left_out() -> None:
    places = helix(9)
    residues = [("A", {atom: places[atom][i] for atom in places}) for i in range(9)]
    residues[4] = ("W", {"CA": places["CA"][4]})
    chain = from_atoms("A", "made up", residues)
    assert chain.sequence == "A" * 8


def test_letters_that_are_no_residues_are_placed() -> None:
    assert wrong_residue("EVQLJV") == 4
    assert wrong_residue("evqlv") is None


PDB = "".join(
    f"ATOM  {4 * i + n + 1:5d}  {atom:<3} ALA A{i + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {atom[0]}\n"
    for i in range(9)
    for n, (atom, (x, y, z)) in enumerate((atom, places[i]) for atom, places in helix(9).items())
)


def test_a_file_is_read_by_biopython() -> None:
    pytest.importorskip("Bio")
    (chain,) = protein_files.read_chains(PDB.encode(), "own.pdb")
    assert (chain.name, chain.source, chain.sequence) == ("A", "own.pdb", "A" * 9)
    assert chain.forms.count("H") > 5


def test_strands_bridges_and_bonds_are_those_of_every_pair_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protein, "ROWS", 7)
    bonds = np.random.default_rng(0).random((40, 40)) < 0.1
    monkeypatch.setattr(protein, "_hydrogen_bonds", lambda backbone: bonds)
    expected = set[int]()
    for i in range(1, 39):
        for j in range(i + 3, 39):
            parallel = (bonds[i - 1, j] and bonds[j, i + 1]) or (bonds[j - 1, i] and bonds[i, j + 1])
            opposed = (bonds[i, j] and bonds[j, i]) or (bonds[i - 1, j + 1] and bonds[j - 1, i + 1])
            expected |= {i, j} if parallel or opposed else set()
    forms = secondary_structure({})
    assert 5 < len(expected) < 35
    assert {i for i, form in enumerate(forms) if form == "E"} == expected - set(_places(forms, "H"))
    monkeypatch.undo()
    whole = protein._hydrogen_bonds(helix(20))
    monkeypatch.setattr(protein, "ROWS", 7)
    np.testing.assert_array_equal(protein._hydrogen_bonds(helix(20)), whole)


def _places(forms: str, form: str) -> list[int]:
    return [i for i, one in enumerate(forms) if one == form]


def pdb(places: str = "   1.000   2.000   3.000", chains: str = "A", residues: int = 9, name: str = "CYS") -> bytes:
    """A PDB file whose atoms are all at one place."""
    lines = []
    for chain in chains:
        for i in range(residues):
            for atom in ("N", "CA", "C", "O", "SG"):
                number, insertion = i % 9999 + 1, " ABCDEFGH"[i // 9999]
                lines.append(
                    f"ATOM  {1:5d}  {atom:<3} {name} {chain}{number:4d}{insertion}   {places}"
                    f"  1.00  0.00           {atom[0]}\n"
                )
    return "".join(lines).encode()


HOSTILE: dict[str, tuple[bytes, str | None]] = {
    "all atoms at one place": (pdb(), None),
    "no numbers": (pdb("     nan     nan     nan"), "structure_broken"),
    "infinite": (pdb("     inf    -inf     inf"), "structure_broken"),
    "far away": (pdb("  1e38    1e38    1e38  "), "structure_broken"),
    "letters for numbers": (pdb("   x.000   2.000   3.000"), "structure_broken"),
    "a long chain": (pdb(residues=protein_files.MAX_RESIDUES + 1), "structure_heavy"),
    "many chains": (pdb(chains="".join(map(chr, range(192, 293)))), "structure_heavy"),
    "a model without end": (b"MODEL        1\n" * 1000 + pdb(), None),
    "a text that is not closed": (b"data_x\nloop_\n_atom_site.id\n;" + b"x" * 10_000, "structure_broken"),
    "columns without rows": (b"data_x\nloop_\n" + b"_atom_site.id\n" * 1000 + b"1 2 3\n", "structure_broken"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read_soon_or_gets_a_reason(name: str) -> None:
    pytest.importorskip("Bio")
    content, reason = HOSTILE[name]
    begun = time.process_time()
    if reason is None:
        chains = protein_files.read_chains(content, "own.pdb")
        assert all(len(chain.bridges) < len(chain.sequence) for chain in chains)
    else:
        with pytest.raises(InputError) as caught:
            protein_files.read_chains(content, "own.pdb")
        assert caught.value.reason == reason
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b"data_x\nloop_\n_atom_site.id\n", b"HEADER  DNA\n"])
def test_a_file_that_holds_no_protein_gets_a_reason(content: bytes) -> None:
    pytest.importorskip("Bio")
    with pytest.raises(InputError) as caught:
        protein_files.read_chains(content, "own.cif")
    assert caught.value.reason in ("structure_empty", "structure_broken")


def test_large_files_and_a_missing_library_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protein_files, "can_read", lambda: True)
    with pytest.raises(InputError) as caught:
        protein_files.read_chains(b" " * (protein_files.MAX_BYTES + 1), "own.pdb")
    assert caught.value.reason == "structure_heavy"
    monkeypatch.setattr(protein_files, "can_read", lambda: False)
    with pytest.raises(InputError) as caught:
        protein_files.read_chains(PDB.encode(), "own.pdb")
    assert caught.value.reason == "structure_library"
