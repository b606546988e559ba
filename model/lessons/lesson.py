"""Lessons: read from folders of `assets/lessons`, whose README says how one is written. Needs nothing but Python."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from model.lessons.lesson_file import LessonError, Part, content, parts
from model.trace.edits import KINDS, Edits

LANGUAGE = "en"
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
    "cover": bool,
    "claims": list,
}
WORDS = ("title", "question", "choices", "answer", "reveal")  # what a translation says; the rest is the English step's
KEPT = ("model", "sentence", "target", "kind", "layer", "head", "row")  # a step that does not say goes on with these
# What else a step may set, by the key of the widget.
ALSO: Mapping[str, tuple[object, ...] | type] = {
    "stack": ("encoder", "decoder"),
    "words": bool,
    "hide": bool,
    "ff_layer": int,
    "step": int,
    "compare": ("heads", "sentences", "edit"),
    "b_text": str,
    "b_layer": int,
    "b_head": int,
}


@dataclass(frozen=True)
class Step:
    """One step: what it says, the state it sets the app to, and what it asks.

    Attributes:
        text: Markdown.
        page: the page it is beside; model, sentence: what the page shows.
        target: the output it forces, or None for the model's own.
        kind, layer, head, row: where it looks; None leaves them as they are.
        edits: what it changes in the model, as `Edits.text` writes it.
        also: further widgets' keys and values.
        choices: answers to choose from; empty where the answer is typed.
        answer: what is right, any one of these; empty where the question is open.
        reveal: Markdown that follows the answer.
        cover: whether the page stays hidden until the answer is in.
        claims: what the step says about the model, for `model.claims`.
        line: of the file where the step begins.
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
    cover: bool = False
    claims: tuple[Mapping[str, Any], ...] = ()
    line: int = 1

    def is_right(self, given: str) -> bool | None:
        """Whether an answer is right, whatever its case, spaces and quotes; None where the question is open."""
        return _bare(given) in {_bare(one) for one in self.answer} if self.answer else None


@dataclass(frozen=True)
class Lesson:
    """A lesson: a title, what it is about, and its steps.

    Attributes:
        name: of its folder, which is also its name in a link.
        about: Markdown, a sentence or two.
        locked: whether what it does not need is hidden.
    """

    name: str
    title: str
    about: str
    steps: tuple[Step, ...]
    locked: bool = False


def load_all(folder: Path, pages: Collection[str], language: str = LANGUAGE) -> tuple[list[Lesson], list[LessonError]]:
    """The lessons of a folder in the order of their names, and what is wrong with those that cannot be read."""
    lessons, errors = [], []
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            lessons.append(load(one, pages, language))
        except LessonError as error:
            errors.append(error)
    return lessons, errors


def load(folder: Path, pages: Collection[str], language: str = LANGUAGE) -> Lesson:
    """Read one lesson; in English where it is not there in a language.

    Raises:
        LessonError: with the lesson's name, the line, and what is wrong.
    """
    english = read(folder.name, content(folder / f"{LANGUAGE}.md"), pages)
    translation = folder / f"{language}.md"
    if language == LANGUAGE or not translation.exists():
        return english
    return translate(english, content(translation), translation.name)


def read(name: str, text: str, pages: Collection[str]) -> Lesson:
    """Read a lesson's text.

    Args:
        name: of its folder; pages: that a step may be beside.

    Raises:
        LessonError: with the line and what is wrong.
    """
    first, *rest = parts(name, text, f"{LANGUAGE}.md")
    for key, value in first.front.items():
        if key != "locked" or not isinstance(value, bool):
            raise first.error(key, "only `locked = true` or `locked = false` may stand above the title")
    title, about = first.heading()
    if not rest:
        raise first.fault("no steps: each begins with a line `---`")
    steps: list[Step] = []
    for part in rest:
        steps.append(_step(part, steps[-1] if steps else None, pages))
    return Lesson(name, title, about, tuple(steps), first.front.get("locked", False))


def translate(lesson: Lesson, text: str, file: str) -> Lesson:
    """A lesson in another language: the words are the translation's, what it shows and claims stays its own.

    Args:
        text: of the translation, a part for each step; file: its name, for the messages.

    Raises:
        LessonError: with the line and what is wrong.
    """
    first, *rest = parts(lesson.name, text, file)
    for key in first.front:
        raise first.error(key, f"nothing may stand above the title of {file}; {LANGUAGE}.md says what is locked")
    title, about = first.heading()
    if len(rest) != len(lesson.steps):
        raise first.fault(f"{len(rest)} steps, but {len(lesson.steps)} in {LANGUAGE}.md")
    steps = [_translated(part, step) for part, step in zip(rest, lesson.steps, strict=True)]
    return replace(lesson, title=title, about=about, steps=tuple(steps))


def _translated(part: Part, step: Step) -> Step:
    for key, value in part.front.items():
        if key not in WORDS:
            raise part.error(key, f"`{key}` is no word to translate; expected one of {', '.join(WORDS)}")
        _check(part, key, value)
    wanted = [key for key in ("title", "question", "choices", "reveal") if getattr(step, key)]
    for key in wanted:
        if key not in part.front:
            raise part.fault(f"the step has no `{key}`")
    if not part.text:
        raise part.fault("the step has no text")
    choices = part.texts("choices")
    if len(choices) != len(step.choices):
        raise part.error("choices", f"{len(choices)} choices, but {len(step.choices)} in {LANGUAGE}.md")
    answer = part.texts("answer")
    if choices:  # the same ones are right, so nobody has to write them a second time
        if answer:
            raise part.error("answer", f"which choices are right is said in {LANGUAGE}.md")
        answer = tuple(choices[step.choices.index(one)] for one in step.answer)
    words = {key: part.front[key] for key in wanted if key != "choices"}
    return replace(step, **words, choices=choices, answer=answer or step.answer, text=part.text, line=part.line)


def _check(part: Part, key: str, value: object) -> None:
    """A field must be known and of its sort."""
    if key not in FIELDS:
        raise part.error(key, f"`{key}` is no field of a step; expected one of {', '.join(FIELDS)}")
    if not isinstance(value, FIELDS[key]) or (FIELDS[key] is int and isinstance(value, bool)):
        raise part.error(key, f"`{key}` is {value!r}, which is of the wrong sort")
    if isinstance(value, int) and value < 0:
        raise part.error(key, f"`{key}` is {value}; counting starts at 0")


def _step(part: Part, before: Step | None, pages: Collection[str]) -> Step:
    front = part.front
    for key, value in front.items():
        _check(part, key, value)
    for key in ("title", "page"):
        if not front.get(key, "").strip():
            raise part.error(key, f"the step has no `{key}`")
    if not part.text:
        raise part.fault("the step has no text")
    if front["page"] not in pages:
        raise part.error("page", f"there is no page {front['page']!r}; expected one of {', '.join(pages)}")
    if front.get("kind", KINDS[0]) not in KINDS:
        raise part.error("kind", f"`kind` is {front['kind']!r}; expected one of {', '.join(KINDS)}")
    try:
        Edits.parse(front.get("edits", ""))
    except ValueError as error:
        raise part.error("edits", str(error)) from error
    for key, value in front.get("also", {}).items():
        allowed = ALSO.get(key, ())
        if not (type(value) is allowed if isinstance(allowed, type) else value in allowed):
            raise part.error("also", f"`also` sets {key} to {value!r}; it may set {', '.join(ALSO)}")
    choices = part.texts("choices")
    answer = part.texts("answer")
    if (choices or answer or front.get("cover")) and not front.get("question"):
        raise part.error("question", "`choices`, `answer` and `cover` need a `question`")
    if choices and (len(choices) < 2 or len(set(choices)) < len(choices)):
        raise part.error("choices", "`choices` needs two or more that differ")
    if choices and not set(answer) <= set(choices):
        raise part.error("answer", f"the answer {', '.join(answer)!r} is not among the choices")
    for claim in front.get("claims", []):
        if not isinstance(claim, dict) or not isinstance(claim.get("sort"), str):
            raise part.error("claims", f"a claim is a table with a `sort`; got {claim!r}")
    carried: dict[str, Any] = {key: getattr(before, key) for key in KEPT} if before else {}
    own = {one.name: front[one.name] for one in fields(Step) if one.name in front}
    if "sentence" in front and "target" not in front:
        carried["target"] = None  # a forced output belongs to its sentence
    own |= {"choices": choices, "answer": answer, "claims": tuple(front.get("claims", ()))}
    return Step(**carried | own, text=part.text, line=part.line)


def _bare(text: str) -> str:
    return re.sub(r"[\s'\"’‘“”«»]+", " ", text).strip(" .").casefold()
