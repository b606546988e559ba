"""What a lesson says about the model, put to the model. `python -m model.claims` checks all lessons."""

from __future__ import annotations

import sys
from pathlib import Path

from model.lessons.claims import check_all
from model.lessons.lesson import load_all

if __name__ == "__main__":
    from functools import cache

    from model import load
    from model.assets import ASSETS

    pages = [path.stem for path in (Path(__file__).parent.parent / "viz" / "pages").glob("*.py")]
    found, errors = load_all(ASSETS / "lessons", pages)
    checked = check_all(found, cache(load))
    for lesson, step, finding in checked:
        print(
            "holds" if finding.holds else "FAILS",
            lesson.name,
            f"line {step.line}",
            dict(finding.claim),
            finding.measured,
        )
    for error in errors:
        print("FAILS", error)
    sys.exit(bool(errors) or not all(finding.holds for _, _, finding in checked))
