"""The bundled model of Python source is as good as its card says, and has induction heads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import model
from model.measures.heads.head_characters import head_characters
from model.training.data.sources import installed_text
from model.training.python_score import induction, sample_scores
from model.translator.language_model import LanguageModel

FOLDER = Path("assets/python")
CARD = json.loads((FOLDER / "scores.json").read_text())


@pytest.fixture(scope="module")
def lens() -> LanguageModel:
    opened = model.load("python", device="cpu")
    assert isinstance(opened, LanguageModel)
    return opened


def test_scores_of_the_sample_are_what_the_card_says(lens: LanguageModel) -> None:
    texts = [installed_text(name) for name in CARD["sample"]["modules"]]
    assert len(texts) >= 3
    found = sample_scores(lens.module, lens.tokenizer, [text for text in texts if text])
    assert found["bits_per_byte"] == pytest.approx(CARD["sample"]["bits_per_byte"], abs=0.05)
    assert found["lines_that_parse"] >= CARD["sample"]["lines_that_parse"] - 5  # one line
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"**{CARD['bits_per_byte']:.2f}**" in text
    assert f"**{CARD['lines_that_parse']:.1f} %**" in text
    assert "{{" not in text  # all figures are filled in
    assert "_NOTE" not in text
    assert CARD["bits_per_byte"] < CARD["xz_9_bits_per_byte"]


def test_the_induction_head_that_the_card_names(lens: LanguageModel) -> None:
    best = CARD["induction_best"]
    assert induction(lens.module)[best["layer"]][best["head"]] == pytest.approx(best["score"], abs=0.03)
    assert best["score"] >= 0.5
    trace = lens.trace("error queue width parse token index table value owner field " * 3)
    named = {one.name: one.named for one in head_characters(trace.attentions["decoder"], trace.ids["decoder"])}
    assert named["induction"][best["layer"], best["head"]]  # so that “Find heads …” lists it
    assert trace.verify().ok


def test_all_bundled_models_are_small() -> None:
    folders = [FOLDER, Path("assets/describe"), Path("assets/en-fr"), Path("assets/moving-digits")]
    assert all(sum(file.stat().st_size for file in folder.iterdir()) < 20e6 for folder in folders)
    assert sum(file.stat().st_size for file in Path("assets").rglob("*") if file.is_file()) <= 90e6
