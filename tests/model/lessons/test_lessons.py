"""Lessons: how they are read, what they say about the model, and every step of every one in the app."""

from __future__ import annotations

import csv
import io
import os
import re
from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import model
from model.assets import ASSETS
from model.catalog.store import local_folder
from model.lessons import claims
from model.lessons.lesson import Lesson, LessonStep, load_lessons, parse_lesson
from model.lessons.lesson_file import MAX_BYTES, LessonError
from model.measures.recurrence import NAMES, time_layers
from tests.app.driving import choose, shown_head
from viz.frame import lesson_guide
from viz.language.messages import languages, say
from viz.saving import tables

APP = Path(__file__).parents[3] / "app.py"
PAGES = ("heads", "masks")
GOOD = """# A title

About it.

---
+++
title = "One"
page = "heads"
layer = 2
edits = "positions=off"
question = "Which?"
choices = ["red", "car"]
answer = "red"
+++
Look.

---
+++
title = "Two"
page = "masks"
sentence = "I see."
also = { words = true }
+++
Look again.
"""
FOUND, ERRORS = lesson_guide.lessons_and_errors()
STEPS = [
    pytest.param(lesson, number, id=f"{lesson.name}-{number + 1}")
    for lesson in FOUND
    for number in range(len(lesson.steps))
]


def test_the_lessons_that_come_along_can_be_read() -> None:
    assert not ERRORS
    assert len(FOUND) == 16
    for lesson in FOUND:
        assert 5 <= len(lesson.steps) <= 8, lesson.name
        assert any(step.question for step in lesson.steps)
        assert any(step.claims for step in lesson.steps)
        assert all("**Do:**" in step.text + step.reveal for step in lesson.steps), lesson.name


@pytest.mark.parametrize("language", languages())
def test_choices_are_plain_texts(language: str) -> None:
    for lesson in load_lessons(ASSETS / "lessons", lesson_guide.PAGES, language)[0]:
        assert not [choice for step in lesson.steps for choice in step.choices if set(choice) & set("`*_")], lesson.name


@pytest.mark.parametrize("language", languages())
def test_steps_say_no_side_where_a_phone_has_one_column(language: str) -> None:
    sides = r"\b(on the right|on the left|rechts|links|droite|gauche|derecha|izquierda)\b|^(right|left):"
    for lesson in load_lessons(ASSETS / "lessons", lesson_guide.PAGES, language)[0]:
        for step in lesson.steps:
            if step.page in ("text", "program"):
                told = [step.question.lower(), step.text.lower()]
                assert not [one for one in told if re.search(sides, one)], (lesson.name, step.title)


def test_a_step_goes_on_where_the_one_before_was() -> None:
    lesson = parse_lesson("made", GOOD, PAGES)
    first, second = lesson.steps
    assert (lesson.title, lesson.about, lesson.locked) == ("A title", "About it.", False)
    assert (first.layer, first.edits, first.text) == (2, "positions=off", "Look.")
    assert (second.layer, second.edits, second.sentence) == (2, "", "I see.")  # edits end with their step
    assert second.also == {"words": True}


def test_answers_are_compared_as_people_write_them() -> None:
    step = LessonStep("", "", "heads", answer=("The red car", "3"))
    assert step.is_right(" the  RED car. ")
    assert step.is_right("3")
    assert step.is_right("car") is False
    assert LessonStep("", "", "heads").is_right("anything") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("# A title", "A title", 1, "expected a title"),
        ('page = "heads"', 'page = "nowhere"', 8, "no page 'nowhere'"),
        ('page = "heads"', "", 6, "no `page`"),
        ("layer = 2", 'layer = "two"', 9, "wrong sort"),
        ("layer = 2", "layer = true", 9, "wrong sort"),
        ("layer = 2", "layer = -1", 9, "starts at 0"),
        ("layer = 2", "layer 2", 9, "no TOML"),
        ('choices = ["red", "car"]', 'choices = ["red", "car"', 13, "no TOML"),
        ("layer = 2", "layers = 2", 9, "no field"),
        ("positions=off", "positions:sideways", 10, "no edit"),
        ('question = "Which?"', "", 6, "need a `question`"),
        ('answer = "red"', 'answer = "blue"', 13, "not among the choices"),
        ('choices = ["red", "car"]', 'choices = ["red", "red"]', 12, "two or more"),
        ("Look.", "", 6, "no text"),
        ("words = true", "words = 3", 22, "`also` sets words"),
        ("words = true", "device = 3", 22, "`also` sets device"),
        ("+++\nLook.", "Look.", 6, "two lines"),
        ('answer = "red"', 'claims = [{ weight = 1 }]', 13, "`sort`"),
    ],
)  # fmt: skip
def test_a_broken_lesson_says_where_and_what(old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(LessonError) as raised:
        parse_lesson("made", GOOD.replace(old, new), PAGES)
    assert raised.value.name == "made"
    assert says in raised.value.message
    assert raised.value.line == line


def test_broken_lessons_leave_the_others_alone(tmp_path: Path) -> None:
    for name, text in (("a", GOOD), ("b", "nothing"), ("d", GOOD.replace("+++\nLook.", "Look."))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "en.md").write_text(text, encoding="utf-8")
    (tmp_path / "c").mkdir()
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "en.md").write_bytes(b"# \xff")
    for name in "fghi":
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "f" / "en.md")
    (tmp_path / "g" / "en.md").symlink_to("/dev/zero")
    (tmp_path / "h" / "en.md").symlink_to("en.md")  # itself
    (tmp_path / "i" / "en.md").write_text(GOOD + "x" * MAX_BYTES, encoding="utf-8")
    found, errors = load_lessons(tmp_path, PAGES)
    assert [one.name for one in found] == ["a"]
    assert [error.name for error in errors] == [*"bcdefghi"]


HERE = [
    pytest.param(
        lesson,
        id=lesson.name,
        marks=[] if all(map(local_folder, lesson.models)) else pytest.mark.skip(reason=f"{lesson.models} to fetch"),
    )
    for lesson in FOUND
]


@cache
def opened(name: str) -> model.lens.Lens:
    return model.load(name, device="cpu")


@pytest.mark.parametrize("lesson", HERE)
def test_what_lessons_say_about_the_model_is_true(lesson: Lesson) -> None:
    wrong = [
        f"line {step.line}: {dict(one.claim)} is {one.measured}"
        for _, step, one in claims.check_lessons([lesson], opened)
        if not one.holds
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("lesson", HERE)
def test_the_row_that_is_opened_is_the_one_a_step_speaks_of(lesson: Lesson) -> None:
    for step in lesson.steps:
        asked = {claim["query"] for claim in step.claims if "query" in claim and "text" not in claim}
        if asked and step.row is not None and step.kind and step.page in ("heads", "inside"):
            trace = opened(step.model).trace(step.sentence, step.target, model.Edits.parse(step.edits))
            assert trace.attentions[step.kind].query_tokens[step.row] in asked, f"{lesson.name}, line {step.line}"


def test_a_false_claim_is_found_false_and_a_senseless_one_is_refused() -> None:
    def finding(**claim: object) -> bool:
        step = LessonStep("", "", "heads", kind="cross", layer=0, head=3, claims=(claim,))
        return claims.check_step(step, opened("en-fr"))[0].holds

    assert finding(sort="weight", query="rouge", key="red", at_least=0.9)
    assert not finding(sort="weight", query="rouge", key="car", at_least=0.9)
    assert not finding(sort="weight", query="rouge", key="red", at_most=0.9)
    assert not finding(sort="output", lacks="rouge")
    assert not finding(sort="output", edits="heads:cross.*.*=0.0", has="voiture")
    for wrong in (
        {"sort": "nonsense", "is": 1},
        {"sort": "weight", "query": "rouge", "key": "red"},
        {"sort": "weight", "query": "bleu", "key": "red", "is": 1},
    ):
        with pytest.raises(ValueError, match="sort"):
            finding(**wrong)


def test_claims_about_copies_and_coverage() -> None:
    sentence = "Tom met Mary in Boston. It was very cold."
    step = LessonStep("", "", "text", sentence=sentence, kind="cross", layer=2, head=4)

    def measured(**claim: object) -> float:
        return float(str(claims.check_claim(step, {"at_least": 0, **claim}, opened("en-fr")).measured))

    output = str(opened("en-fr").trace(sentence).output)
    assert measured(sort="from_source") == pytest.approx(3 / len(set(re.findall(r"\w+", output.lower()))))
    assert measured(sort="covered", part=0) + measured(sort="covered", part=1) == pytest.approx(1)
    assert measured(sort="covered", part=0, layer=0) > 0.4
    assert measured(sort="does_most", what="copies") >= measured(sort="does", what="copies") > 0.1


@pytest.mark.skipif(not local_folder("smollm2"), reason="smollm2 to fetch")
def test_claims_about_programs() -> None:
    text = "def area(width, height):\n    return width * height\n\nprint(area(3, 4))\n"
    step = LessonStep("", "", "program", model="smollm2", sentence=text, kind="decoder", layer=18, head=6)

    def measured(**claim: object) -> float:
        return float(str(claims.check_claim(step, {"at_least": 0, **claim}, opened("smollm2")).measured))

    assert 0 <= measured(sort="links", relation="name") <= 3
    assert measured(sort="links_ahead", relation="name") >= 1
    assert measured(sort="does_most", what="induction") > 0.3
    with pytest.raises(ValueError, match="what"):
        measured(sort="does")


def test_recurrence_is_counted_while_it_runs() -> None:
    readings = list(time_layers((4, 8), tries=1))
    assert [one.name for one in readings] == [*NAMES, *NAMES]
    for one in readings:
        expected = 1 if one.name == "attention" else one.length
        assert (one.steps, one.path) == (expected, expected)
        assert one.seconds > 0


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(str(APP), default_timeout=120)


def keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def answer(app: AppTest, lesson: Lesson, number: int, given: str) -> None:
    step = lesson.steps[number]
    if step.choices:
        app.button(key=f"lesson_choice_{number}_{step.choices.index(given)}").click().run()
        return
    app.text_input(key=f"lesson_answer_{lesson.name}_{number}").set_value(given)
    next(one for one in app.button if one.label == say("lessons.answer")).click()
    app.run()


@pytest.mark.parametrize("lesson", HERE)
def test_every_step_sets_the_app_to_its_state(app: AppTest, lesson: Lesson) -> None:
    app.query_params["lesson"] = lesson.name
    app.run()
    for number, step in enumerate(lesson.steps):
        place = f"{lesson.name}, step {number + 1}"
        if step.cover:
            assert app.session_state.covered, place
            assert app.title[0].value == say(f"{step.page}.title"), place  # the page shows, with its figures covered
            answer(app, lesson, number, step.choices[0] if step.choices else "7")
        elif step.question:
            answer(app, lesson, number, (step.answer or ("a thought",))[0])
        assert not app.session_state.covered, place
        assert not app.exception, place
        assert not app.error, place
        assert not app.warning, place
        assert app.title[0].value == say(f"{step.page}.title"), place
        state = app.session_state
        assert (state.model, state.text, state.edits) == (step.model, step.sentence, step.edits), place
        for key, wanted in (
            ("kind", step.kind),
            ("layer", step.layer),
            ("head", step.head),
            (f"row_{step.kind}", step.row),
        ):
            if wanted is not None:
                assert state[key] == wanted, (place, key)
        if step.page == "heads":
            assert shown_head(app) == (state.layer, state.head), place
        for key, wanted in step.also.items():
            assert state[key] == wanted, (place, key)
        if step.page == "output" and step.target is not None:
            assert app.text_input(key="forced_output").value == step.target, place
        assert app.query_params["lesson_step"] == str(number + 1), place
        if step.question:
            assert step.reveal in [one.value for one in app.markdown], place
        if number + 1 < len(lesson.steps):
            app.button(key="lesson_next").click().run()
    app.button(key="lesson_finish").click().run()
    assert app.title[0].value == say("lessons.title")
    assert "lesson" not in app.query_params


def test_played_state_stays_until_the_step_is_set_again(app: AppTest) -> None:
    app.query_params["lesson"], app.query_params["lesson_step"] = FOUND[0].name, "6"
    app.run()
    choose(app, "head", 2)
    assert shown_head(app)[1] == 2
    app.button(key="lesson_again").click().run()
    assert shown_head(app)[1] == FOUND[0].steps[5].head
    app.button(key="lesson_back").click().run()
    assert app.query_params["lesson_step"] == "5"
    app.button(key="lesson_leave").click().run()
    assert not keys(app) & {"lesson_next", "lesson_back", "lesson_leave"}


def test_a_link_copied_while_playing_shows_what_was_played(app: AppTest) -> None:
    app.query_params["lesson"], app.query_params["lesson_step"] = FOUND[0].name, "6"
    app.query_params["text"], app.query_params["kind"], app.query_params["head"] = "I see a tree.", "encoder", "2"
    app.run()
    assert not app.exception
    assert app.text_area(key="text").value == "I see a tree."
    assert shown_head(app)[1] == 2
    assert "lesson_next" in keys(app)


def test_another_step_in_the_address_of_a_running_lesson_is_entered(app: AppTest) -> None:
    app.query_params["lesson"] = FOUND[0].name
    app.run()
    app.query_params["lesson_step"] = "6"
    app.run()
    assert app.title[0].value == say("heads.title")
    assert shown_head(app)[1] == FOUND[0].steps[5].head


def test_measuring_shows_steps_time_and_a_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.measures.recurrence.time_layers", lambda: time_layers((4, 8), tries=1))
    app.run()
    app.switch_page("viz/pages/why.py").run()
    assert not app.get("plotly_chart")
    app.button(key="measure").click().run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 2
    assert any("With 8 tokens" in one.value for one in app.markdown)


@pytest.mark.parametrize("step", ["0", "99", "-1", "two", "²", ""])
def test_a_made_up_step_opens_one_that_is_there(app: AppTest, step: str) -> None:
    app.query_params["lesson"], app.query_params["lesson_step"] = FOUND[0].name, step
    app.run()
    assert not app.exception
    assert "lesson_leave" in keys(app)


def test_a_made_up_lesson_gets_a_sentence(app: AppTest) -> None:
    app.query_params["lesson"] = "<b>none</b>"
    app.run()
    assert not app.exception
    assert "not here" in app.warning[0].value
    assert app.title[0].value == say("whole.title")


def test_the_lessons_page_lists_all_and_names_the_broken(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("01-good", GOOD), ("02-bad", GOOD.replace("layer = 2", "layers = 2")), ("03-gone", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "en.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(lesson_guide, "FOLDER", tmp_path)
    app.run()
    app.switch_page("viz/pages/lessons.py").run()
    assert not app.exception
    assert len(app.error) == 2
    assert "02" in app.error[0].value
    assert "9" in app.error[0].value
    app.button(key="start_01-good").click().run()
    assert app.title[0].value == say("heads.title")
    assert app.session_state.edits == "positions=off"


def test_answers_can_be_taken_away_as_a_table() -> None:
    rows: list[tuple[str | int, ...]] = [("2026-01-01T00:00:00+00:00", "made", 1, 'Wo, "wer"?', "=1+1 é\n", "no")]
    table = tables.answers_csv(rows).decode("utf-8-sig")
    header, row = csv.reader(io.StringIO(table))
    assert tuple(header) == tables.ANSWER_COLUMNS
    assert row == ["2026-01-01T00:00:00+00:00", "made", "1", 'Wo, "wer"?', "'=1+1 é\n", "no"]


def test_answers_are_kept_with_time_step_and_verdict(app: AppTest) -> None:
    app.query_params["lesson"] = FOUND[0].name
    app.run()
    answer(app, FOUND[0], 0, "9")
    (row,) = app.session_state.lesson_answers
    assert row[1:] == (FOUND[0].name, 1, FOUND[0].steps[0].question, "9", "no")
    assert row[0].startswith("20")


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("layer = " + "9" * 5000, "a number that is too long"),
        ("layer = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("layer = 0x" + "f" * 5000, "the most that a lesson can name"),
        ("question = 0x" + "f" * 5000, "far too long"),
        ("layer = " + "9" * 4000, "the most that a lesson can name"),
        ("layer = -" + "9" * 4000, "counting starts at 0"),
        ("also = { b_layer = " + "9" * 400 + " }", "it may set"),
        ('choices = ["' + "x" * 5000 + '", 7]', "must hold texts"),
        ("a." * 3000 + "b = 1", ""),
        ("layer = nan", ""),
        ("layer = 1979-05-27", ""),
        ("choices = [1979-05-27, inf]", ""),
        ("layer = [" + "1," * 100_000 + "]", ""),
        ("\n".join(f"x{number} = 1" for number in range(10_000)), ""),
    ],
)
def test_monstrous_values_of_a_lesson_are_a_short_sentence(field: str, says: str) -> None:
    with pytest.raises(LessonError) as caught:
        parse_lesson("made", f'# A\n\n---\n+++\ntitle = "One"\npage = "heads"\n{field}\n+++\nLook.\n', PAGES)
    assert says in str(caught.value) or "no TOML" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_one_head_by_hand_takes_half_the_clicks_that_it_took(app: AppTest) -> None:
    """22 when each choice had to be confirmed, and seven steps asked."""
    lesson = next(one for one in FOUND if one.name == "04-one-head")
    app.switch_page("viz/pages/lessons.py").run()
    app.button(key=f"start_{lesson.name}").click().run()
    clicks = 1
    for number, step in enumerate(lesson.steps):
        answer(app, lesson, number, step.answer[0])
        clicks += bool(step.choices)  # what is typed ends with Enter
        assert step.reveal in [one.value for one in app.markdown]
        last = number + 1 == len(lesson.steps)
        app.button(key="lesson_finish" if last else "lesson_next").click().run()
        clicks += 1
    assert app.title[0].value == say("lessons.title")
    assert clicks <= 11
