"""The syntax of lesson files: parts separated by `---`, each with TOML front matter between `+++` and Markdown text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.lessons.stored_shares import fill_shares

MAX_BYTES = 1_000_000  # of a file


class LessonError(ValueError):
    """A lesson file is missing or not valid.

    Attributes:
        name: of the lesson's folder.
        line: of the file, from 1.
        message: the reason, without name and line.
        file: its name, such as "en.md".
    """

    def __init__(self, name: str, line: int, message: str, file: str = "en.md") -> None:
        super().__init__(f"{name}/{file}, line {line}: {message}")
        self.name, self.line, self.message, self.file = name, line, message, file


def shown(value: object) -> str:
    """A value for an error, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits or brackets
        return "far too long"
    return text if len(text) <= 100 else f"{text[:100]}…"


class LessonPart:
    """One part of a lesson file: the lines between two lines `---`.

    Attributes:
        name: of the lesson's folder; file: the file's name.
        line: where the part begins, from 1.
        front: field -> value of the front matter; empty where there is none.
        text: the Markdown after it.

    Raises:
        LessonError: the front matter is not enclosed in two lines `+++`, not above the text, or no TOML.
    """

    def __init__(self, name: str, file: str, line: int, lines: list[str]) -> None:
        self.name, self.file, self.line = name, file, line
        delimiters = [i for i, one in enumerate(lines) if one.strip() == "+++"]
        if len(delimiters) not in (0, 2):
            raise self.error_at(
                f"expected two lines `+++` around the front matter, got {len(delimiters)}", line + delimiters[0]
            )
        begin, end = delimiters or (-1, 0)
        if any(one.strip() for one in lines[: max(begin, 0)]):
            raise self.error_at("the front matter must stand above the text", line + begin)
        self._first = line + begin + 1
        self._lines = lines[begin + 1 : end]
        self.text = "\n".join(lines[end + 1 if delimiters else 0 :]).strip()
        try:
            self.front: dict[str, Any] = tomllib.loads("\n".join(self._lines))
        except tomllib.TOMLDecodeError as error:
            location = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
            index = int(location[1]) - 1 if location and location[1] else max(len(self._lines) - 1, 0)
            raise self.error_at(
                f"the front matter is no TOML: {str(error).split(' (at')[0]}", self._first + index
            ) from error
        except (ValueError, RecursionError) as error:  # a number with thousands of digits, thousands of brackets
            raise self.error_at(
                "the front matter has a number that is too long, or is nested too deeply", self._first
            ) from error

    def error_at(self, message: str, line: int | None = None) -> LessonError:
        """An error at a line of the file, from 1; at the beginning of the part where none is given."""
        return LessonError(self.name, self.line if line is None else line, message, self.file)

    def field_error(self, key: str, message: str) -> LessonError:
        """An error at the line of a field of the front matter."""
        matches = [i for i, line in enumerate(self._lines) if re.match(rf"\s*{re.escape(key)}\s*=", line)]
        return self.error_at(message, self._first + matches[0] if matches else None)

    def heading(self) -> tuple[str, str]:
        """The lesson's title and description, from the text of the first part.

        Raises:
            LessonError: the text does not begin with a title.
        """
        title, _, about = self.text.partition("\n")
        if not title.startswith("# ") or not title[2:].strip():
            raise self.error_at("expected a title such as `# Why attention` before the first step")
        return title[2:].strip(), about.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of a field with one text or a list of them; empty where the field is missing.

        Raises:
            LessonError: the field holds something else.
        """
        value = self.front.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) and one.strip() for one in values):
            raise self.field_error(key, f"`{key}` must hold texts; got {shown(value)}")
        return tuple(values)


def parse_parts(name: str, text: str, file: str) -> list[LessonPart]:
    """The parts of a lesson file, in order; the first one has the lesson's title, each other one a step.

    Args:
        name: of the lesson's folder; text: of the file; file: its name, for errors.

    Raises:
        LessonError: the syntax of a part is wrong.
    """
    lines = fill_shares(text).splitlines()
    return [LessonPart(name, file, line, part) for line, part in _split(lines)]


def _split(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines of each part, with the number of the first one."""
    start = 0
    for number, line in enumerate([*lines, "---"]):
        if line.strip() == "---":
            yield start + 1, lines[start:number]
            start = number + 1


def read_lesson_file(file: Path) -> str:
    """The text of a lesson file.

    Raises:
        LessonError: the file is missing, too large, no regular file, cannot be read, or is not in UTF-8.
    """
    name = file.parent.name
    try:
        if file.exists() and not (file.is_file() and file.stat().st_size <= MAX_BYTES):  # a pipe never ends
            raise LessonError(name, 1, f"{file.name} is no file, or larger than {MAX_BYTES // 1000} KB", file.name)
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise LessonError(name, 1, f"{file.name} is missing or cannot be read", file.name) from error
    except UnicodeDecodeError as error:
        raise LessonError(name, 1, f"{file.name} is not written in UTF-8", file.name) from error
