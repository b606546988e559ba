"""What most of a text is, by simple rules: language, a protein, a reaction, or code (no PyTorch)."""

from __future__ import annotations

import re

LANGUAGE, PROTEIN, REACTION, CODE = "language", "protein", "reaction", "code"
SHORTEST_PROTEIN = 12  # letters
RESIDUES = re.compile(r"[ACDEFGHIKLMNPQRSTVWYXBZ]+\*?")
SMILES = re.compile(r"(?:\[[^\]\s]+\]|Br|Cl|[NOSPFIBCbcnosp().=#+\\/:~@?>*$%0-9-])+")
CODE_LINE = re.compile(
    r"\s*(?:(?:def|class|import|from|for|while|if|elif|else|try|except|with|return|print|assert|raise)\b.*[:()\]=]$"
    r"|@\w|#\s?\w|[\w.\[\]]+(?:, ?[\w.\[\]]+)* ?[-+*/]?= ?\S|[\w.]+\(.*\)$|import [\w.]+$|return \w+$"
    r"|from [\w.]+ import \w|.*[;{}]\s*$)"
)


def text_kind(text: str) -> str:
    """One of "language", "protein", "reaction" and "code"; "language" where none of the others is clear.

    A protein is one block of capital letters of residues, also below a FASTA header; a reaction is nothing but symbols
    of SMILES with an arrow or a bond, a branch or a bracket; code has mostly lines that look like it.
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return LANGUAGE
    block = "".join(line.strip() for line in (lines[1:] if lines[0].startswith(">") else lines))
    if len(block) >= SHORTEST_PROTEIN and RESIDUES.fullmatch(block):
        return PROTEIN
    if (
        len(lines) == 1
        and SMILES.fullmatch(block)
        and (">>" in block or (len(block) > 5 and set(block) & set("=#()[]")))
    ):
        return REACTION
    return CODE if 2 * sum(bool(CODE_LINE.match(line)) for line in lines) > len(lines) else LANGUAGE
