"""Lessons in other languages: the same steps, numbers, tokens and names of controls as the English ones."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.lessons.lesson import Lesson, LessonStep, load_lesson, load_lessons, parse_lesson, translate_lesson
from model.lessons.lesson_file import LessonError
from viz.frame import lesson_guide
from viz.language.messages import languages, message_catalog

APP = Path(__file__).parents[3] / "app.py"
DO = {"fr": "**À faire :**", "de": "**Aufgabe:**", "es": "**Tarea:**"}
ENGLISH = {one.name: one for one in load_lessons(lesson_guide.FOLDER, lesson_guide.PAGES)[0]}
BOTH = [pytest.param(code, name, id=f"{code}-{name}") for code in languages() if code != "en" for name in ENGLISH]
ONE = """# One

About.

---
+++
title = "A"
page = "heads"
layer = 2
question = "Which?"
choices = ["red", "car"]
answer = "car"
+++
Look.
"""
EINS = """# Eins

Worum es geht.

---
+++
title = "A"
question = "Welches?"
choices = ["rot", "Auto"]
+++
Sieh hin.
"""


def words(step: LessonStep) -> str:
    return "\n".join((step.title, step.text, step.question, *step.choices, step.reveal))


def numbers(step: LessonStep) -> Counter[str]:
    """The numbers a step names, whichever mark the language puts before the decimals or between the thousands."""
    marks = "[.,\N{NO-BREAK SPACE}]"  # the last one is what French puts where English has "8,000"
    return Counter(re.sub(marks, ".", one) for one in re.findall(rf"\d+(?:{marks}\d+)?", words(step)))


def spoken_of(step: LessonStep) -> list[set[str]]:
    """The controls that an English step names in bold: for each, the keys it may have in the catalogue."""
    bold = {one.casefold() for one in re.findall(r"\*\*([^*]+)\*\*", step.text + step.reveal)}
    texts = [
        (f"{section}.{key}", text) for section, part in message_catalog("en").items() for key, text in part.items()
    ]
    return [keys for one in bold if (keys := {key for key, text in texts if text.casefold() == one and len(one) > 6})]


@pytest.mark.parametrize(("language", "name"), BOTH)
def test_a_translation_says_what_the_english_lesson_says(language: str, name: str) -> None:
    there: Lesson = load_lesson(lesson_guide.FOLDER / name, lesson_guide.PAGES, language)
    assert (lesson_guide.FOLDER / name / f"{language}.md").exists()
    assert there.title != ENGLISH[name].title
    for mine, theirs in zip(ENGLISH[name].steps, there.steps, strict=True):
        place = f"{name}/{language}.md, line {theirs.line}"
        assert theirs.text != mine.text, place
        assert numbers(theirs) == numbers(mine), place
        assert sorted(re.findall(r"`[^`]+`", words(theirs))) == sorted(re.findall(r"`[^`]+`", words(mine))), place
        assert (theirs.text + theirs.reveal).count(DO[language]) == (mine.text + mine.reveal).count("**Do:**"), place
        assert [one in theirs.answer for one in theirs.choices] == [one in mine.answer for one in mine.choices], place
        assert (theirs.sentence, theirs.edits, theirs.claims) == (mine.sentence, mine.edits, mine.claims), place
        for keys in spoken_of(mine):
            texts = [message_catalog(language)[section][key] for section, key in (one.split(".", 1) for one in keys)]
            assert any(text.casefold() in words(theirs).casefold() for text in texts), (place, texts)


def test_a_translation_takes_everything_but_the_words_from_the_english_lesson() -> None:
    (step,) = translate_lesson(parse_lesson("made", ONE, ("heads",)), EINS, "de.md").steps
    assert (step.question, step.choices, step.answer, step.text) == (
        "Welches?",
        ("rot", "Auto"),
        ("Auto",),
        "Sieh hin.",
    )
    assert (step.page, step.layer) == ("heads", 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("# Eins", "Eins", 1, "expected a title"),
        ('title = "A"', 'title = "A"\nlayer = 3', 8, "no word to translate"),
        ('title = "A"', "", 6, "no `title`"),
        ('question = "Welches?"', "", 6, "no `question`"),
        ('"rot", ', "", 9, "1 choices, but 2"),
        ('"Auto"]', '"Auto"]\nanswer = "rot"', 10, "which choices are right"),
        ("Sieh hin.", "", 6, "no text"),
        ("Sieh hin.", "Sieh hin.\n---\nMehr.", 1, "2 steps, but 1"),
        ('"Welches?"', "3", 8, "wrong sort"),
    ],
)  # fmt: skip
def test_a_broken_translation_says_where_and_what(old: str, new: str, line: int, says: str) -> None:
    assert old in EINS
    with pytest.raises(LessonError) as raised:
        translate_lesson(parse_lesson("made", ONE, ("heads",)), EINS.replace(old, new), "de.md")
    assert says in raised.value.message
    assert (raised.value.line, raised.value.file) == (line, "de.md")


def test_a_language_without_its_file_gets_the_english_lesson(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "en.md").write_text(ONE, encoding="utf-8")
    (tmp_path / "made" / "de.md").write_text(EINS, encoding="utf-8")
    assert load_lesson(tmp_path / "made", ("heads",), "de").title == "Eins"
    assert load_lesson(tmp_path / "made", ("heads",), "fr").title == "One"


def test_an_answer_keeps_its_verdict_when_the_language_changes() -> None:
    name, number = "05-many-heads", 2
    english, french = (
        ENGLISH[name].steps[number - 1],
        load_lesson(lesson_guide.FOLDER / name, lesson_guide.PAGES, "fr").steps[number - 1],
    )
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["lesson"], app.query_params["lesson_step"] = name, str(number)
    app.run()
    app.button(key=f"lesson_choice_{number - 1}_0").click().run()
    app.radio(key="language").set_value("fr").run()
    assert not app.exception
    shown = [one.value for one in app.markdown]
    assert french.text in shown
    assert french.reveal in shown
    assert (
        message_catalog("fr")["lessons"]["not_right"].format(answer=english.choices[0], right=french.answer[0]) in shown
    )
