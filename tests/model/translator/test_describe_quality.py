"""The bundled summarizer is as good as its card says, and its heads copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import model
from model.measures.heads.head_characters import head_characters
from model.training.describe import copying_heads, summarize
from model.training.rouge import rouge
from model.translator.scoring import read_pairs
from model.translator.translator import Translator

FOLDER = Path("assets/describe")
CARD = json.loads((FOLDER / "scores.json").read_text())


@pytest.fixture(scope="module")
def lens() -> Translator:
    opened = model.load("describe", device="cpu")
    assert isinstance(opened, Translator)
    return opened


def test_scores_of_the_sample_are_what_the_card_says(lens: Translator) -> None:
    pairs = read_pairs(Path("tests/data/descriptions.tsv"))
    found = rouge(summarize(lens, [source for source, _ in pairs]), [target for _, target in pairs])
    assert len(pairs) == 60
    assert all(found[name] >= CARD["sample"][name] - 1 for name in ("rouge1", "rouge2", "rougeL"))
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"**{CARD['model']['rougeL']:.1f}**" in text
    assert f"{CARD['first_12_words']['rougeL']:.1f} |" in text
    assert "{{" not in text  # all figures are filled in
    assert "_NOTE" not in text
    assert CARD["model"]["rougeL"] > CARD["first_12_words"]["rougeL"]


def test_the_heads_that_the_card_names_copy(lens: Translator) -> None:
    texts = [source for source, _ in read_pairs(Path("tests/data/descriptions.tsv"))[:12]]
    found = {(one["layer"], one["head"]): one for one in copying_heads(lens, texts)}
    card = CARD["heads"]
    for name, one in (("copies", card[0]), ("copied", max(card, key=lambda head: head["copied"]))):
        here = found[one["layer"], one["head"]][name]
        assert here == pytest.approx(one[name], abs=0.15)
        assert here > 0.4
    named = {one.name: one.named for one in head_characters(lens.trace(texts[0]).attentions["cross"])}
    assert named["copies"].any()  # so that “Find heads …” lists them


def test_a_run_is_checked(lens: Translator) -> None:
    trace = lens.trace("Zarnik is a fast parser for log files. It reads large files line by line.")
    assert trace.output
    assert trace.verify().ok
