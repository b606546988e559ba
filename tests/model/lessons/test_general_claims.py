"""How often what lessons say in general holds: measured on held-out sentences, stored, named in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.assets import ASSETS
from model.lessons import general_claims, stored_shares
from model.lessons.general_claims import general_claims as claims_of
from model.lessons.general_claims import measure_shares, write_shares
from model.lessons.lesson import Lesson, load_lessons
from model.lessons.stored_shares import DOES_NOT_APPLY, fill_shares, share_percent, unmeasured_shares
from model.lessons.stored_shares import stored_shares as stored
from model.structures.samples import held_out_sentences
from model.translator.translator import Translator

LESSONS = ASSETS / "lessons"
PAGES = [path.stem for path in (ASSETS.parent / "viz" / "pages").glob("*.py")]


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    found, errors = load_lessons(LESSONS, PAGES)
    assert not errors
    return found


def test_every_general_claim_was_measured_on_every_sentence(lessons: list[Lesson]) -> None:
    names = [name for _, claim in claims_of(lessons) for name in claim["general"].values()]
    assert sorted(names) == sorted(stored())
    assert len(held_out_sentences()) == 200
    for name, values in stored().items():
        assert len(values) == 200, name
        assert all(one == DOES_NOT_APPLY or 0 <= one <= 100 for one in values)
        assert sum(one != DOES_NOT_APPLY for one in values) >= 150, name


def test_the_sentences_were_held_out() -> None:
    pairs = (ASSETS.parent / "tests" / "data" / "held_out.tsv").read_text(encoding="utf-8").splitlines()
    assert set(held_out_sentences()) <= {line.split("\t")[0] for line in pairs}


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_lessons_name_each_share_in_each_language(language: str, lessons: list[Lesson]) -> None:
    named: list[str] = []
    for lesson in lessons:
        text = (LESSONS / lesson.name / f"{language}.md").read_text(encoding="utf-8")
        assert not unmeasured_shares(text)
        named += re.findall(r"\{\{(\w+)\}\}", text)
    assert sorted(named) == sorted(stored())
    for lesson in load_lessons(LESSONS, PAGES, language)[0]:
        assert not any("{{" in step.reveal + step.text for step in lesson.steps)


def test_what_is_stored_is_what_comes_out(lens: Translator, lessons: list[Lesson]) -> None:
    own = [(step, claim) for step, claim in claims_of(lessons) if claim.get("model", step.model) == "en-fr"]
    places = range(60, 62)
    found = measure_shares(lessons, lambda name: lens, [held_out_sentences()[i] for i in places])
    checked = 0
    for _, claim in own:
        for name in claim["general"].values():
            for place, value in zip(places, found[name], strict=True):
                assert abs(value - stored()[name][place]) <= 1, name  # a percent that is rounded either way
                checked += 1
    assert checked >= 30


def test_shares_are_written_read_and_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "shares.toml"
    monkeypatch.setattr(general_claims, "FILE", file)
    monkeypatch.setattr(stored_shares, "FILE", file)
    write_shares({"one": [100, 0, DOES_NOT_APPLY, 100], "other": [5] * 70})
    stored.cache_clear()
    try:
        assert stored()["one"] == (100, 0, DOES_NOT_APPLY, 100)
        assert (share_percent("one"), share_percent("other")) == (67, 5)
        assert fill_shares("In {{one}}% and {{unknown}}%.") == "In 67% and {{unknown}}%."
        assert unmeasured_shares("{{one}} {{unknown}}") == ["unknown"]
    finally:
        stored.cache_clear()


def test_a_claim_that_names_no_share_or_one_twice_is_refused(lens: Translator, lessons: list[Lesson]) -> None:
    from dataclasses import replace

    step, claim = next(claims_of(lessons))
    lesson = lessons[0]
    for names, words in (({}, "needs `general`"), ({"most": "x"}, "needs `general`")):
        wrong = replace(lesson, steps=(replace(step, claims=({**claim, "general": names},)),))
        with pytest.raises(ValueError, match=words):
            measure_shares([wrong], lambda name: lens, ["I see."])
    twice = replace(lesson, steps=(replace(step, claims=(claim, claim)),))
    with pytest.raises(ValueError, match="two claims measure"):
        measure_shares([twice], lambda name: lens, ["I see."])
