"""The pairs that the translator is scored on: no leak between the parts, and a broken table is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.translator.scoring import read_pairs, split

PAIRS = [(f"I see {n} {thing}{end}", f"Je vois {n} {thing}.") for n in range(900) for thing, end in
         (("cats", "."), ("Cats", "!"), ("dogs", "."), ("dogs in town", "."), ("dogs, in town", "."))]  # fmt: skip


def test_parts_share_no_english_sentence_even_with_other_case_and_punctuation() -> None:
    parts = split(PAIRS)
    assert sum(map(len, parts.values())) == len(PAIRS)
    english = {name: {"".join(c for c in e.lower() if c.isalnum()) for e, _ in pairs} for name, pairs in parts.items()}
    assert english["test"]
    assert not english["train"] & english["test"]
    assert not english["train"] & english["validation"]
    assert split(PAIRS) == parts


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("Hi.\tSalut.\nno tab here\n")
    with pytest.raises(ValueError, match=r"line 2.*no tab here"):
        read_pairs(tmp_path / "bad.tsv")
