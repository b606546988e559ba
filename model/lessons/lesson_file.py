"""How a lesson's file is written: parts between `---`, front matter in TOML between `+++`, then Markdown."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LessonError(ValueError):
    """A lesson cannot be read; the message says what is wrong.

    Attributes:
        name: of the lesson's folder; line: of its file, from 1; file: its name, as "en.md".
    """

    def __init__(self, name: str, line: int, message: str, file: str = "en.md") -> None:
        super().__init__(f"{name}/{file}, line {line}: {message}")
        self.name, self.line, self.message, self.file = name, line, message, file


class Part:
    """What stands between two lines `---`: front matter and text.

    Attributes:
        line: where it begins, from 1.
        front: what stands between the lines `+++`, by field.
        text: what follows.
    """

    def __init__(self, name: str, file: str, line: int, lines: list[str]) -> None:
        self.name, self.file, self.line = name, file, line
        marks = [i for i, one in enumerate(lines) if one.strip() == "+++"]
        if len(marks) not in (0, 2):
            raise self.fault(f"expected two lines `+++` around the front matter, got {len(marks)}", line + marks[0])
        begin, end = marks or (-1, 0)
        if any(one.strip() for one in lines[: max(begin, 0)]):
            raise self.fault("the front matter must stand above the text", line + begin)
        self._first = line + begin + 1
        self._lines = lines[begin + 1 : end]
        self.text = "\n".join(lines[end + 1 if marks else 0 :]).strip()
        try:
            self.front: dict[str, Any] = tomllib.loads("\n".join(self._lines))
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
            at = int(found[1]) - 1 if found and found[1] else max(len(self._lines) - 1, 0)
            raise self.fault(f"the front matter is no TOML: {str(error).split(' (at')[0]}", self._first + at) from error

    def fault(self, message: str, line: int | None = None) -> LessonError:
        """What is wrong, at a line or where the part begins."""
        return LessonError(self.name, self.line if line is None else line, message, self.file)

    def error(self, key: str, message: str) -> LessonError:
        """What is wrong with a field, at its line."""
        places = [i for i, line in enumerate(self._lines) if re.match(rf"\s*{re.escape(key)}\s*=", line)]
        return self.fault(message, self._first + places[0] if places else None)

    def heading(self) -> tuple[str, str]:
        """The title, and what follows it."""
        title, _, about = self.text.partition("\n")
        if not title.startswith("# ") or not title[2:].strip():
            raise self.fault("expected a title such as `# Why attention` before the first step")
        return title[2:].strip(), about.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        """One text or several that a field holds; none where it is not there."""
        value = self.front.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) and one.strip() for one in values):
            raise self.error(key, f"`{key}` must hold texts; got {value!r}")
        return tuple(values)


def parts(name: str, text: str, file: str) -> list[Part]:
    """The parts of a lesson's text.

    Args:
        name: of the lesson; file: of the text.

    Raises:
        LessonError: with the line and what is wrong.
    """
    return [Part(name, file, line, lines) for line, lines in _split(text.splitlines())]


def _split(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The parts between lines `---`, each with the number of its first line."""
    start = 0
    for number, line in enumerate([*lines, "---"]):
        if line.strip() == "---":
            yield start + 1, lines[start:number]
            start = number + 1


def content(file: Path) -> str:
    """What is in a lesson's file.

    Raises:
        LessonError: it cannot be read.
    """
    name = file.parent.name
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise LessonError(name, 1, f"{file.name} is missing or cannot be read", file.name) from error
    except UnicodeDecodeError as error:
        raise LessonError(name, 1, f"{file.name} is not written in UTF-8", file.name) from error
