"""Lessons: read from folders of `assets/lessons`, whose README says how one is written. Needs nothing but Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from model.edits import KINDS, Edits

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


class LessonError(ValueError):
    """A lesson cannot be read; the message says what is wrong.

    Attributes:
        name: of the lesson's folder; line: of its file, from 1.
    """

    def __init__(self, name: str, line: int, message: str) -> None:
        super().__init__(f"{name}, line {line}: {message}")
        self.name, self.line, self.message = name, line, message


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
    file = folder / f"{language}.md"
    file = file if file.exists() else folder / f"{LANGUAGE}.md"
    try:
        return read(folder.name, file.read_text(encoding="utf-8"), pages)
    except OSError as error:
        raise LessonError(folder.name, 1, f"{file.name} is missing or cannot be read") from error
    except UnicodeDecodeError as error:
        raise LessonError(folder.name, 1, f"{file.name} is not written in UTF-8") from error


def read(name: str, text: str, pages: Collection[str]) -> Lesson:
    """Read a lesson's text.

    Args:
        name: of its folder; pages: that a step may be beside.

    Raises:
        LessonError: with the line and what is wrong.
    """
    first, *rest = [_Part(name, line, lines) for line, lines in _split(text.splitlines())]
    for key, value in first.front.items():
        if key != "locked" or not isinstance(value, bool):
            raise first.error(key, "only `locked = true` or `locked = false` may stand above the title")
    title, _, about = first.text.partition("\n")
    if not title.startswith("# ") or not title[2:].strip():
        raise LessonError(name, first.line, "expected a title such as `# Why attention` before the first step")
    if not rest:
        raise LessonError(name, first.line, "no steps: each begins with a line `---`")
    steps: list[Step] = []
    for part in rest:
        steps.append(_step(part, steps[-1] if steps else None, pages))
    return Lesson(name, title[2:].strip(), about.strip(), tuple(steps), first.front.get("locked", False))


def _split(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The parts between lines `---`, each with the number of its first line."""
    start = 0
    for number, line in enumerate([*lines, "---"]):
        if line.strip() == "---":
            yield start + 1, lines[start:number]
            start = number + 1


class _Part:
    """What stands between two lines `---`: front matter and text."""

    def __init__(self, name: str, line: int, lines: list[str]) -> None:
        marks = [i for i, one in enumerate(lines) if one.strip() == "+++"]
        if len(marks) not in (0, 2):
            raise LessonError(
                name, line + marks[0], f"expected two lines `+++` around the front matter, got {len(marks)}"
            )
        begin, end = marks or (-1, 0)
        if any(one.strip() for one in lines[: max(begin, 0)]):
            raise LessonError(name, line + begin, "the front matter must stand above the text")
        self.name, self.line, self.first = name, line, line + begin + 1
        self.lines = lines[begin + 1 : end]
        self.text = "\n".join(lines[end + 1 if marks else 0 :]).strip()
        try:
            self.front: dict[str, Any] = tomllib.loads("\n".join(self.lines))
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
            at = int(found[1]) - 1 if found and found[1] else max(len(self.lines) - 1, 0)
            raise LessonError(
                name, self.first + at, f"the front matter is no TOML: {str(error).split(' (at')[0]}"
            ) from error

    def error(self, key: str, message: str) -> LessonError:
        """What is wrong with a field, at its line."""
        places = [i for i, line in enumerate(self.lines) if re.match(rf"\s*{re.escape(key)}\s*=", line)]
        return LessonError(self.name, self.first + places[0] if places else self.line, message)


def _step(part: _Part, before: Step | None, pages: Collection[str]) -> Step:
    front = part.front
    for key, value in front.items():
        if key not in FIELDS:
            raise part.error(key, f"`{key}` is no field of a step; expected one of {', '.join(FIELDS)}")
        if not isinstance(value, FIELDS[key]) or (FIELDS[key] is int and isinstance(value, bool)):
            raise part.error(key, f"`{key}` is {value!r}, which is of the wrong sort")
        if isinstance(value, int) and value < 0:
            raise part.error(key, f"`{key}` is {value}; counting starts at 0")
    for key in ("title", "page"):
        if not front.get(key, "").strip():
            raise part.error(key, f"the step has no `{key}`")
    if not part.text:
        raise LessonError(part.name, part.line, "the step has no text")
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
    choices = _texts(part, "choices")
    answer = _texts(part, "answer")
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


def _texts(part: _Part, key: str) -> tuple[str, ...]:
    value = part.front.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not all(isinstance(one, str) and one.strip() for one in values):
        raise part.error(key, f"`{key}` must hold texts; got {value!r}")
    return tuple(values)


def _bare(text: str) -> str:
    return re.sub(r"[\s'\"’‘“”«»]+", " ", text).strip(" .").casefold()
