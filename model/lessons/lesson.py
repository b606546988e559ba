"""Lessons and their steps, parsed and validated from the folders of `assets/lessons`; its README has the format."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from model.assets import ASSETS
from model.lessons.lesson_file import LessonError, LessonPart, parse_parts, read_lesson_file, shown
from model.structures.program import RELATIONS
from model.trace.edits import KINDS, Edits

LANGUAGE = "en"
MAX_NUMBER = 1_000_000  # of a layer, a head, a row or a step
FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "title": str,
    "page": str,
    "model": str,
    "sentence": str,
    "target": str,
    "kind": str,
    "layer": int,
    "head": int,
    "row": int,
    "edits": str,
    "also": dict,
    "question": str,
    "choices": list,
    "answer": (str, list),
    "reveal": str,
    "cover": (bool, str),
    "look": str,
    "claims": list,
}
TRANSLATED_FIELDS = ("title", "question", "choices", "answer", "reveal")  # all others are those of the English step
# A step without these takes them from the one before.
CARRIED_FIELDS = ("model", "sentence", "target", "kind", "layer", "head", "row")
# Further widgets that a step may set: key of the widget -> allowed values, or their type.
WIDGET_VALUES: Mapping[str, tuple[object, ...] | type] = {
    "stack": ("encoder", "decoder"),
    "words": bool,
    "hide": bool,
    "ff_layer": int,
    "step": int,
    "open_encoder": int,
    "open_decoder": int,
    "inside_step": int,
    "compare": ("heads", "sentences", "edit"),
    "reading_how": ("one_head", "head_mean", "rollout"),
    "relation": RELATIONS,
    "b_text": str,
    "b_layer": int,
    "b_head": int,
    "changed_decoder": int,
    "picture": tuple(sorted(file.stem for kind in ("clips/*.gif", "pictures/*.png") for file in ASSETS.glob(kind))),
}


@dataclass(frozen=True)
class LessonStep:
    """One step of a lesson: its text, the state that it sets the app to, and its question.

    Attributes:
        title, text: shown in the step; the text is Markdown.
        page: name of the page that the step is shown beside.
        model, sentence: that the page shows.
        target: the forced output; None for the model's own.
        kind, layer, head, row: attention that the page shows; None leaves a value unchanged.
        edits: changes of the model, as `Edits.text` writes them.
        also: key -> value of further widgets.
        question: asked after the text; "" for none.
        choices: answers to choose from; empty where the answer is typed.
        answer: correct answers, each sufficient; empty where the question is open.
        reveal: Markdown that follows the answer.
        cover: whether what answers the question is covered until it is answered; "all": also the names of the tokens.
        look: key of the figure that shows the answer, brought into sight then; "" for the page's first.
        claims: about the model, checked by `model.lessons.claims`.
        line: of the file where the step begins, from 1.
    """

    title: str
    text: str
    page: str
    model: str = "en-fr"
    sentence: str = "The red car stopped."
    target: str | None = None
    kind: str | None = None
    layer: int | None = None
    head: int | None = None
    row: int | None = None
    edits: str = ""
    also: Mapping[str, Any] = field(default_factory=dict)
    question: str = ""
    choices: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    reveal: str = ""
    cover: bool | str = False
    look: str = ""
    claims: tuple[Mapping[str, Any], ...] = ()
    line: int = 1

    @property
    def length(self) -> int:
        """Characters that it says once it is answered, with 20 for the rest of each paragraph's last line."""
        texts = [self.title, *self.text.splitlines(), self.question, *self.reveal.splitlines()]
        answers = 2 * max(map(len, (*self.choices, *self.answer[:1])), default=40)  # the one given, and the right one
        return sum(len(text) + 20 for text in texts if text) + answers

    def is_right(self, answer: str) -> bool | None:
        """Whether an answer is correct, regardless of case, spaces and quotes; None where the question is open."""
        return _normalized(answer) in {_normalized(one) for one in self.answer} if self.answer else None


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        name: of its folder, also used in links.
        title, about: shown in the list of lessons; `about` is Markdown of a sentence or two.
        locked: whether the app hides the controls that the lesson does not need.
    """

    name: str
    title: str
    about: str
    steps: tuple[LessonStep, ...]
    locked: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """The models that its steps open."""
        return tuple(dict.fromkeys(step.model for step in self.steps))


def load_lessons(
    folder: Path, pages: Collection[str], language: str = LANGUAGE
) -> tuple[list[Lesson], list[LessonError]]:
    """The lessons of a folder in the order of their names, and the errors of those that cannot be parsed.

    Args:
        folder: has a folder for each lesson; pages: names of the app's pages; language: code such as "en".
    """
    lessons, errors = [], []
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            lessons.append(load_lesson(path, pages, language))
        except LessonError as error:
            errors.append(error)
    return lessons, errors


def load_lesson(folder: Path, pages: Collection[str], language: str = LANGUAGE) -> Lesson:
    """A lesson in a language; in English where its folder has no file for that language.

    Raises:
        LessonError: a file is missing or not valid; has the lesson's name, the line and the reason.
    """
    english = parse_lesson(folder.name, read_lesson_file(folder / f"{LANGUAGE}.md"), pages)
    translation = folder / f"{language}.md"
    if language == LANGUAGE or not translation.exists():
        return english
    return translate_lesson(english, read_lesson_file(translation), translation.name)


def parse_lesson(name: str, text: str, pages: Collection[str]) -> Lesson:
    """A lesson parsed from the text of its English file.

    Args:
        name: of the lesson's folder; text: of the file; pages: names of the app's pages.

    Raises:
        LessonError: the text is not valid; has the line and the reason.
    """
    first, *rest = parse_parts(name, text, f"{LANGUAGE}.md")
    for key, value in first.front.items():
        if key != "locked" or not isinstance(value, bool):
            raise first.field_error(key, "only `locked = true` or `locked = false` may stand above the title")
    title, about = first.heading()
    if not rest:
        raise first.error_at("no steps: each begins with a line `---`")
    steps: list[LessonStep] = []
    for part in rest:
        steps.append(_parse_step(part, steps[-1] if steps else None, pages))
    return Lesson(name, title, about, tuple(steps), first.front.get("locked", False))


def translate_lesson(lesson: Lesson, text: str, file: str) -> Lesson:
    """The lesson with the texts of a translation; state and claims of its steps stay those of the English lesson.

    Args:
        lesson: in English; text: of the translation's file, with a part for each step; file: its name, for errors.

    Raises:
        LessonError: the translation is not valid; has the line and the reason.
    """
    first, *rest = parse_parts(lesson.name, text, file)
    for key in first.front:
        raise first.field_error(key, f"nothing may stand above the title of {file}; {LANGUAGE}.md says what is locked")
    title, about = first.heading()
    if len(rest) != len(lesson.steps):
        raise first.error_at(f"{len(rest)} steps, but {len(lesson.steps)} in {LANGUAGE}.md")
    steps = [_translate_step(part, step) for part, step in zip(rest, lesson.steps, strict=True)]
    return replace(lesson, title=title, about=about, steps=tuple(steps))


def _translate_step(part: LessonPart, step: LessonStep) -> LessonStep:
    """The step with the texts of a translation's part."""
    for key, value in part.front.items():
        if key not in TRANSLATED_FIELDS:
            raise part.field_error(
                key, f"`{key}` is no word to translate; expected one of {', '.join(TRANSLATED_FIELDS)}"
            )
        _check_field(part, key, value)
    required = [key for key in ("title", "question", "choices", "reveal") if getattr(step, key)]
    for key in required:
        if key not in part.front:
            raise part.error_at(f"the step has no `{key}`")
    if not part.text:
        raise part.error_at("the step has no text")
    choices = part.texts("choices")
    if len(choices) != len(step.choices):
        raise part.field_error("choices", f"{len(choices)} choices, but {len(step.choices)} in {LANGUAGE}.md")
    answer = part.texts("answer")
    if choices:  # the English step says which ones are correct
        if answer:
            raise part.field_error("answer", f"which choices are right is said in {LANGUAGE}.md")
        answer = tuple(choices[step.choices.index(one)] for one in step.answer)
    texts = {key: part.front[key] for key in required if key != "choices"}
    return replace(step, **texts, choices=choices, answer=answer or step.answer, text=part.text, line=part.line)


def _check_field(part: LessonPart, key: str, value: object) -> None:
    """Raise LessonError where a field is unknown or its value has the wrong type."""
    if key not in FIELDS:
        raise part.field_error(key, f"`{key}` is no field of a step; expected one of {', '.join(FIELDS)}")
    if not isinstance(value, FIELDS[key]) or (FIELDS[key] is int and isinstance(value, bool)):
        raise part.field_error(key, f"`{key}` is {shown(value)}, which is of the wrong sort")
    if isinstance(value, int) and value < 0:
        raise part.field_error(key, f"`{key}` is {shown(value)}; counting starts at 0")
    if isinstance(value, int) and value > MAX_NUMBER:
        raise part.field_error(key, f"`{key}` is above {MAX_NUMBER:,}, the most that a lesson can name")


def _parse_step(part: LessonPart, before: LessonStep | None, pages: Collection[str]) -> LessonStep:
    """A step parsed from its part; fields that it leaves out come from the step before or are the defaults."""
    front = part.front
    for key, value in front.items():
        _check_field(part, key, value)
    for key in ("title", "page"):
        if not front.get(key, "").strip():
            raise part.field_error(key, f"the step has no `{key}`")
    if not part.text:
        raise part.error_at("the step has no text")
    if front["page"] not in pages:
        raise part.field_error("page", f"there is no page {front['page']!r}; expected one of {', '.join(pages)}")
    if front.get("kind", KINDS[0]) not in KINDS:
        raise part.field_error("kind", f"`kind` is {front['kind']!r}; expected one of {', '.join(KINDS)}")
    try:
        Edits.parse(front.get("edits", ""))
    except ValueError as error:
        raise part.field_error("edits", str(error)) from error
    for key, value in front.get("also", {}).items():
        allowed = WIDGET_VALUES.get(key, ())
        fits = type(value) is allowed if isinstance(allowed, type) else value in allowed
        if not fits or (isinstance(value, int) and not 0 <= value <= MAX_NUMBER):
            raise part.field_error(
                "also", f"`also` sets {key} to {shown(value)}; it may set {', '.join(WIDGET_VALUES)}"
            )
    choices = part.texts("choices")
    answer = part.texts("answer")
    if (choices or answer or front.get("cover")) and not front.get("question"):
        raise part.field_error("question", "`choices`, `answer` and `cover` need a `question`")
    if choices and (len(choices) < 2 or len(set(choices)) < len(choices)):
        raise part.field_error("choices", "`choices` needs two or more that differ")
    if choices and not set(answer) <= set(choices):
        raise part.field_error("answer", f"the answer {', '.join(answer)!r} is not among the choices")
    for claim in front.get("claims", []):
        if not isinstance(claim, dict) or not isinstance(claim.get("sort"), str):
            raise part.field_error("claims", f"a claim is a table with a `sort`; got {claim!r}")
    carried: dict[str, Any] = {key: getattr(before, key) for key in CARRIED_FIELDS} if before else {}
    own = {one.name: front[one.name] for one in fields(LessonStep) if one.name in front}
    if "sentence" in front and "target" not in front:
        carried["target"] = None  # a forced output belongs to its sentence
    own |= {"choices": choices, "answer": answer, "claims": tuple(front.get("claims", ()))}
    return LessonStep(**carried | own, text=part.text, line=part.line)


def _normalized(text: str) -> str:
    """An answer without quotes, surrounding spaces and full stops, in lower case."""
    return re.sub(r"[\s'\"’‘“”«»]+", " ", text).strip(" .").casefold()
