"""How often the general claims of lessons hold: measured over held-out sentences, stored in a file, named in lessons.

`python -m model.claims --general` measures and writes them; a lesson says one as `{{name}}`, in percent.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.lessons.claim_fields import ClaimFields
from model.lessons.claims import check_claim
from model.lessons.lesson import Lesson, LessonStep
from model.lessons.stored_shares import DOES_NOT_APPLY, FILE
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Trace

SORTS = ("holds", "mean")  # of a share: how many sentences a claim holds for, or the mean of what it measures
HEAD = """\
# How often what lessons say in general holds, in percent for each sentence of `held_out.txt`, in its order:
# 0 or 100 where a claim fails or holds, the measured share where the lesson names a mean; -1 where a sentence lacks
# what the claim is about. Written by `python -m model.claims --general`.
"""


def general_claims(lessons: Sequence[Lesson]) -> Iterator[tuple[LessonStep, ClaimFields]]:
    """The claims of lessons that are general, each with its step."""
    for lesson in lessons:
        for step in lesson.steps:
            yield from ((step, claim) for claim in step.claims if "general" in claim)


class UnchangedTraces:
    """A model that remembers the traces without edits, which many claims of one sentence share; a `Lens`."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._traces: dict[str, Trace] = {}

    def trace(self, text: str, target: str | None = None, edits: Edits | None = None) -> Trace:
        """The trace of a text; the same one again where nothing is changed."""
        if target is not None or edits:
            return self._lens.trace(text, target, edits)
        if text not in self._traces:
            self._traces[text] = self._lens.trace(text)
        return self._traces[text]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lens, name)


def measure_shares(
    lessons: Sequence[Lesson], open_model: Callable[[str], Lens], sentences: Sequence[str]
) -> dict[str, list[int]]:
    """What each named share is for each sentence, in percent; `DOES_NOT_APPLY` where a sentence lacks a token.

    Args:
        open_model: returns the model of a name.

    Raises:
        ValueError: a claim cannot be checked on any sentence, names no known sort of share, or a name stands twice.
    """
    shares: dict[str, list[int]] = {}
    opened: dict[str, Any] = {}
    for step, claim in general_claims(lessons):
        names = claim["general"]
        if not isinstance(names, dict) or not names or set(names) - set(SORTS):
            raise ValueError(f"{claim} needs `general` with {' or '.join(SORTS)} and the name of the share")
        name = str(claim.get("model", step.model))
        lens = opened.setdefault(name, UnchangedTraces(open_model(name)))
        results = [_percent(step, claim, lens, one) for one in sentences]
        for sort, name in names.items():
            if name in shares:
                raise ValueError(f"two claims measure {name!r}")
            shares[name] = [one[sort] for one in results]
            if set(shares[name]) == {DOES_NOT_APPLY}:
                raise ValueError(f"{claim} can be checked on no sentence")
    return shares


def _percent(step: LessonStep, claim: ClaimFields, lens: Lens, sentence: str) -> dict[str, int]:
    """What a claim's shares of each sort are for one sentence."""
    try:
        result = check_claim(step, {**claim, "text": sentence, "target": None}, lens)
    except ValueError:
        return dict.fromkeys(SORTS, DOES_NOT_APPLY)
    measured = result.measured
    mean = round(100 * float(measured)) if isinstance(measured, (int, float)) and np.isfinite(measured) else None
    return {"holds": 100 * result.holds, "mean": DOES_NOT_APPLY if mean is None else mean}


def write_shares(shares: Mapping[str, Sequence[int]]) -> None:
    """Store measured shares, lines of 30 sentences each."""
    text = HEAD
    for name, values in sorted(shares.items()):
        lines = [", ".join(map(str, values[i : i + 30])) for i in range(0, len(values), 30)]
        text += f"\n{name} = [\n" + "".join(f"    {line},\n" for line in lines) + "]\n"
    tomllib.loads(text)
    FILE.write_text(text, encoding="utf-8")
