"""The table of what came out of a sweep, as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.sweep.one_class import ERROR, INSIDE, NOT_BUILT, REFUSED, WEIGHTS_ONLY, WRONG, Outcome

TEXT_TASKS = ("causal", "masked", "seq2seq", "sequence", "token", "question", "text-encoder")
OTHER_TASKS = ("image", "video", "zero-shot", "multimodal", "speech", "base")
INTRODUCTION = """# Model families

What Headlight shows of each class of transformers {version}. One small random model of every class was saved to a
folder, opened with `model.load`, traced on a sentence that repeats words, and compared with the library's own eager run
of the same class: attention weights and answer to 1e-4. `python -m tests.sweep` does it again, and
`python -m tests.sweep --table` writes this page.

- *shown inside*: weights, scores, queries, keys and values, with edits.
- *weights only*: the family's own code returns nothing else.
- *refused*: one sentence when the model is opened.
- *not built*: the sweep has no small configuration of it.
"""


def write_table(file: Path, outcomes: Iterable[Outcome], version: str) -> None:
    """Write the summary and the lists of classes.

    Args:
        version: of transformers.
    """
    found = sorted(outcomes, key=lambda one: (one.name.lower(), one.name))
    lines = [INTRODUCTION.format(version=version), *_counts(found)]
    families = {one.kind for one in found if one.verdict == INSIDE and one.task in TEXT_TASKS}
    lines += ["", f"{len(families)} families of text models are shown inside.", ""]
    for verdict in (WRONG, ERROR):
        bad = [one for one in found if one.verdict == verdict]
        lines += [f"## {verdict}", "", *(f"- {one.name}: {one.why or one.weights}" for one in bad), ""] if bad else []
    for verdict in (INSIDE, WEIGHTS_ONLY):
        names = [one.name for one in found if one.verdict == verdict]
        lines += [f"## {verdict.capitalize()}", "", ", ".join(names) + ".", ""]
    lines += ["## Refused", ""]
    refused = sorted((one for one in found if one.verdict == REFUSED), key=_reason)
    for why, group in groupby(refused, key=_reason):
        lines.append(f"- *{why}*: {', '.join(one.name for one in group)}.")
    names = [one.name for one in found if one.verdict == NOT_BUILT]
    lines += ["", "## Not built", "", ", ".join(names) + ".", ""]
    file.write_text("\n".join(lines), encoding="utf-8")


def _reason(outcome: Outcome) -> str:
    """Why a class is refused, without the name of the folder that it was saved to."""
    return re.sub(r"^tmp\w+ holds", "its folder holds", outcome.why)


def _counts(found: list[Outcome]) -> list[str]:
    """Classes by task and verdict, as a table."""
    verdicts = (INSIDE, WEIGHTS_ONLY, REFUSED, WRONG, ERROR, NOT_BUILT)
    count = Counter((one.task, one.verdict) for one in found)
    rows = ["| classes | " + " | ".join(verdicts) + " |", "| --- |" + " ---: |" * len(verdicts)]
    tasks = [task for task in (*TEXT_TASKS, *OTHER_TASKS) if any(count[task, verdict] for verdict in verdicts)]
    rows += [f"| {task} | " + " | ".join(str(count[task, verdict]) for verdict in verdicts) + " |" for task in tasks]
    return rows
