"""What most of a text is, by simple rules: language, a protein, nucleotides, a reaction, or code (no PyTorch)."""

from __future__ import annotations

import ast
import builtins
import json
import re
import sys
from collections.abc import Sequence
from math import log

from model.structures.program import parsed_program
from model.structures.reaction import ReactionError, read_molecules

LANGUAGE, PROTEIN, NUCLEOTIDES, REACTION, CODE = "language", "protein", "nucleotides", "reaction", "code"
SHORTEST = 12  # letters of a protein or of nucleotides
MARGIN = (
    2.0  # by which a protein is likelier than English; 2 % of the words and 92 % of the proteins of 12 letters pass
)
LONGEST_PARSED = 20_000  # letters that Python's parser is given
RESIDUES = "ACDEFGHIKLMNPQRSTVWYXBZ"
# Per thousand letters: residues in Swiss-Prot, and letters of English text (Lewand 2000).
OF_PROTEINS = (
    "A82 C14 D55 E67 F39 G71 H23 I59 K58 L97 M24 N41 P47 Q39 R55 S66 T54 V69 W11 Y29"  # the rare ones weigh nothing
)
OF_ENGLISH = "A82 C28 D43 E127 F22 G20 H61 I70 K8 L40 M24 N68 P19 Q1 R60 S63 T91 V10 W24 Y20"
BRACKETS = {")": "(", "]": "[", "}": "{"}
ARROW = re.compile(r"\s*(?:>>|->|=>|→|⟶)\s*")
# Lines of programs: those of Python, then what other languages end or begin a line with.
CODE_LINE = re.compile(
    r"\s*(?:(?:async )?def \w+\(|class \w+(?:\(.*)?:|import \w[\w.]*(?: as \w+)?$|from [\w.]+ import \w"
    r"|for [\w, ()]+ in [^ ]+.*:(?: |$)|(?:if|elif|while) .*(?:[<>=!]=| [<>] | not in | is None).*:$"
    r"|(?:if|elif|while) (?:not )?[\w.]*[._(\[].*:$|(?:if|while) (?:not )?\w+:$|with \w+[.(].*:$|except\b.*:$"
    r"|(?:else|try|finally):$|[ \t]+(?:return|yield|raise|assert|pass|break|continue)\b|@\w[\w.]*(?:\(.*)?$"
    r"|[\w.\[\]'\"]+(?:, ?[\w.\[\]'\"]+)*(?:: ?\w[\w.\[\]]*)? ?(?:[-+*/%|&]|//|\*\*)?= ?[^ =].*[\d()\[\]{}'\".,_]$"
    r"|[\w.]+\((?:.*[\])'\",({\[])?$|.*[(){}=<>\[\]].*;$|.*[{}]$|[)\]}]+[,;:]?$|['\"].*['\"](?:: .*)?,?$"
    r"|#include\b|</?[a-z]\w*[^<>]*>|(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b.*[,;*]?)"
)
DOCSTRING = re.compile(r"('''|\"\"\").*?(?:\1|\Z)", re.S)
TAGS = re.compile(r"\s*<!?[a-zA-Z][^<>]*>.*</?[a-zA-Z]\w*\s*/?>\s*", re.S)


def text_kind(text: str) -> str:
    """One of "language", "protein", "nucleotides", "reaction" and "code"; "language" where none of the others is clear.

    A protein is blocks of capital letters that are more as in proteins than as in English, numbered or below a FASTA
    header; nucleotides are A, C, G and T or U; a reaction is SMILES; code is what Python parses as more than words, or
    mostly lines that look like it.
    """
    if not text.strip():
        return LANGUAGE
    return _sequence_kind(text) or (REACTION if _is_reaction(text) else CODE if _is_code(text) else LANGUAGE)


def suits(text: str, reads: Sequence[str]) -> bool:
    """Whether a text is, or may be, of one of the kinds that a model reads: what is too short to tell fits any."""
    kind = text_kind(text)
    if kind in reads or not text.strip():
        return True
    return kind == LANGUAGE and any(_may_be(text.strip(), one) for one in reads)


def _may_be(text: str, kind: str) -> bool:
    """Whether a text that is not clear at all may be of a kind."""
    if kind == PROTEIN:
        return set("".join(text.split()).upper()) <= set(RESIDUES) or _is_code_word(text)
    if kind == REACTION:
        return ">>" in text or _molecules(text) is not None
    lines = text.splitlines()
    begins = any(CODE_LINE.match(line) or line.lstrip().startswith(("#", '"""', "'''")) for line in lines)
    return kind == CODE and (begins or _parsed(text) is not None)


def _is_code_word(text: str) -> bool:
    """Whether a text is blocks of capital letters, longer than words: a sequence with a letter that is none."""
    blocks, letters = text.split(), "".join(text.split())
    return len(letters) >= SHORTEST and letters.isupper() and letters.isalnum() and all(len(b) > 9 for b in blocks[:-1])


def _sequence_kind(text: str) -> str:
    """ "protein" or "nucleotides" where a text is blocks of such letters, else ""."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    body = [line for line in lines if not line.startswith((">", ";"))]
    blocks = [block for line in body for block in re.findall(r"[^\s\d]+", line)]
    letters = "".join(blocks).rstrip("*").replace("-", "")
    if len(letters) < SHORTEST or not letters.isascii() or not (letters.isupper() or letters.islower()):
        return ""
    one_block = all(len(re.findall(r"[^\s\d]+", line)) < 2 for line in body)
    if not one_block and len({len(block) for block in blocks[:-1]}) > 1:
        return ""  # words
    used = set(letters.upper())
    if used <= set("ACGTUN"):
        return NUCLEOTIDES if len(used) > 2 else ""
    likely = used <= set(RESIDUES) and len(used) > 4 and _likeness(letters.upper()) > MARGIN
    return PROTEIN if likely and (letters.isupper() or len(letters) >= 2 * SHORTEST) else ""


def _likeness(letters: str) -> float:
    """How much likelier letters are in a protein than in English, as a logarithm."""
    proteins, english = (
        {one[0]: int(one[1:]) for one in frequencies.split()} for frequencies in (OF_PROTEINS, OF_ENGLISH)
    )
    return sum(log(proteins[one] / english[one]) for one in letters if one in proteins)


def _molecules(text: str) -> int | None:
    """Number of atoms of molecules in SMILES; None where the text is none."""
    try:
        return len(read_molecules(text)) or None
    except ReactionError:
        return None


def _is_reaction(text: str) -> bool:
    """Whether the lines are reactions or molecules in SMILES, with spaces around signs or a name behind them or not."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return all(_is_reaction_line(line) or (len(lines) > 1 and _molecules(line)) for line in lines) and any(
        map(_is_reaction_line, lines)
    )


def _is_reaction_line(line: str) -> bool:
    sides = ARROW.split(line)
    if len(sides) == 1 and line.count(">") == 2:
        sides = line.split(">")
    if len(sides) > 1:
        found = [_molecules(re.sub(r"\s+[.+]\s+", ".", side)) for side in sides if side.strip()]
        return len(found) > 1 and None not in found and sum(one or 0 for one in found) > 3
    word = line.split()[0]
    atoms = _molecules(word)
    marks = len(re.findall(r"[=#\[]|\(.", word)) + len(re.findall(r"[A-Za-z]\d", word))
    if atoms is None or len(word) < 6 or (word != line and len(word) < SHORTEST):
        return False
    return "[" in word or marks > 1 + (2 * len(re.findall("[Cc](?!l)", word)) < atoms)


def _is_code(text: str) -> bool:
    tree = _parsed(text)
    if TAGS.fullmatch(text) or _is_json(text):
        return True
    if tree is not None:
        return _says_much(tree.body)
    lines = [line.rstrip() for line in DOCSTRING.sub("", text).splitlines() if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("# ")]
    hits = sum(bool(CODE_LINE.match(line)) for line in lines)
    return 2 * hits > len(lines)


def _parsed(text: str) -> ast.Module | None:
    """The text as Python reads it; None where it cannot, or where the text is long."""
    return parsed_program(text) if len(text) <= LONGEST_PARSED else None


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return bool(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _says_much(statements: Sequence[ast.stmt]) -> bool:
    """Whether statements are more than words that Python happens to parse, as it does "return home" and "E = m"."""
    bare = [one for one in statements if isinstance(one, ast.Expr) or getattr(one, "value", one) is None]
    return len(statements) - len(bare) > 1 or any(map(_is_clear, statements))


def _is_clear(one: ast.stmt) -> bool:
    if isinstance(one, ast.Import | ast.ImportFrom):
        names = [one.module or ""] if isinstance(one, ast.ImportFrom) else [alias.name for alias in one.names]
        return any(name.split(".")[0] in sys.stdlib_module_names or "." in name for name in names)
    if isinstance(one, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return):
        return one.value is not None and _is_clear_value(one.value, alone=isinstance(one, ast.Expr))
    return not isinstance(one, ast.Pass | ast.Break | ast.Continue | ast.Assert | ast.Raise | ast.Delete | ast.Global)


def _is_clear_value(value: ast.expr, alone: bool) -> bool:
    """Whether an expression is more than words and sums. alone: whether nothing is done with it"""
    if isinstance(value, ast.Call):
        function = value.func
        known = isinstance(function, ast.Name) and hasattr(builtins, function.id)
        return not alone or known or isinstance(function, ast.Attribute) or bool(value.keywords) or len(value.args) > 1
    if not alone and isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Dict | ast.List | ast.ListComp | ast.Lambda | ast.Subscript)
