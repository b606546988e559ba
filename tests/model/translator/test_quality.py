"""The bundled weights translate, and as well as their card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.translator.scoring import bleu_chrf, read_pairs, references, translate_all
from model.translator.translator import Translator

FOLDER = Path("assets/en-fr")


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("I love you.", {"Je t'aime.", "Je vous aime."}),
        ("Where is the train station?", {"Où est la gare ?", "Où se trouve la gare ?"}),
        ("He is my brother.", {"C'est mon frère.", "Il est mon frère."}),
        ("I don't understand.", {"Je ne comprends pas."}),
        ("The house is big.", {"La maison est grande.", "La maison est grosse."}),
    ],
)
def test_fixed_sentences(lens: Translator, english: str, french: set[str]) -> None:
    assert lens.trace(english).output in french


def test_score_of_the_sample_is_what_the_card_says(lens: Translator) -> None:
    wanted = references(read_pairs(Path("tests/data/held_out.tsv")))
    assert len(wanted) == 200
    bleu, _ = bleu_chrf(translate_all(lens, list(wanted)), list(wanted.values()))
    card = json.loads((FOLDER / "scores.json").read_text())
    assert bleu == pytest.approx(card["sample_bleu"], abs=0.5)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"{card[name]:.1f} BLEU" in text for name in ("bleu", "sample_bleu"))
