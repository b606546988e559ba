"""Held-out inputs that come along, by what they are: sentences, programs, reactions and proteins (NumPy only)."""

from __future__ import annotations

from functools import cache

from model.assets import ASSETS
from model.structures import protein, reaction

SENTENCES = ASSETS / "lessons" / "held_out.txt"
PROGRAMS = ASSETS / "programs.txt"


@cache
def held_out_sentences() -> tuple[str, ...]:
    """English sentences that the bundled translator was not trained on."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@cache
def held_out(kind: str) -> tuple[str, ...]:
    """The inputs of a kind, "language", "code", "reaction" or "protein"; () for other kinds."""
    if kind == "language":
        return held_out_sentences()
    if kind == "code":
        parts = PROGRAMS.read_text(encoding="utf-8").split("\n\n\n")
        return tuple(part.strip("\n") for part in parts if part.strip() and not part.startswith("# Short"))
    if kind == "reaction":
        return tuple(one.smiles for one in reaction.bundled())
    return tuple(one.sequence for one in protein.bundled()) if kind == "protein" else ()
