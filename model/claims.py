"""The command `python -m model.claims`: checks every claim of the bundled lessons, and fails if one does not hold.

`python -m model.claims --general` measures how often the general ones hold over held-out sentences, and stores it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from model.lessons.claims import check_lessons
from model.lessons.general_claims import measure_shares, write_shares
from model.lessons.lesson import Lesson, load_lessons
from model.lessons.stored_shares import FILE, share_percent, stored_shares
from model.structures.samples import held_out_sentences
from model.trace.lens import Lens


def check(lessons: list[Lesson], open_model: Callable[[str], Lens]) -> bool:
    """Print the result of each claim; whether all hold."""
    results = check_lessons(lessons, open_model)
    for lesson, step, result in results:
        print(
            "holds" if result.holds else "FAILS",
            lesson.name,
            f"line {step.line}",
            dict(result.claim),
            result.measured,
        )
    return all(result.holds for _, _, result in results)


def measure(lessons: list[Lesson], open_model: Callable[[str], Lens]) -> None:
    """Measure the general claims over the held-out sentences, store their shares, and print them."""
    write_shares(measure_shares(lessons, open_model, held_out_sentences()))
    stored_shares.cache_clear()
    for name in stored_shares():
        print(f"{share_percent(name):3}%  {name}")
    print(f"written to {FILE.name}")


if __name__ == "__main__":
    from functools import cache

    from model import load
    from model.assets import ASSETS
    from model.catalog.store import local_folder

    pages = [path.stem for path in (Path(__file__).parent.parent / "viz" / "pages").glob("*.py")]
    found, errors = load_lessons(ASSETS / "lessons", pages)
    for error in errors:
        print("FAILS", error)
    for lesson in found:
        if absent := sorted(one for one in lesson.models if local_folder(one) is None):
            print("not checked", lesson.name, f"first run: python -m model.catalog get {' '.join(absent)}")
    found = [lesson for lesson in found if all(map(local_folder, lesson.models))]
    if "--general" in sys.argv[1:]:
        measure(found, cache(load))
        sys.exit(bool(errors))
    sys.exit(not check(found, cache(load)) or bool(errors))
