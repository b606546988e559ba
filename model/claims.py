"""The command `python -m model.claims`: checks every claim of the bundled lessons, and fails if one does not hold."""

from __future__ import annotations

import sys
from pathlib import Path

from model.lessons.claims import check_lessons
from model.lessons.lesson import load_lessons

if __name__ == "__main__":
    from functools import cache

    from model import load
    from model.assets import ASSETS

    pages = [path.stem for path in (Path(__file__).parent.parent / "viz" / "pages").glob("*.py")]
    lessons, errors = load_lessons(ASSETS / "lessons", pages)
    results = check_lessons(lessons, cache(load))
    for lesson, step, result in results:
        print(
            "holds" if result.holds else "FAILS",
            lesson.name,
            f"line {step.line}",
            dict(result.claim),
            result.measured,
        )
    for error in errors:
        print("FAILS", error)
    sys.exit(bool(errors) or not all(result.holds for _, _, result in results))
