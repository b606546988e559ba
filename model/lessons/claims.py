"""What a lesson says about the model, put to the model. `python -m model.claims` checks all lessons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.lessons.evidence import SORTS, Claim
from model.lessons.lesson import Lesson, Step
from model.trace.lens import Lens

BOUNDS = ("is", "at_least", "at_most", "has", "lacks")


@dataclass(frozen=True)
class Finding:
    """What the model says about a claim.

    Attributes:
        measured: the number, token or text that the claim is about; holds: whether it is as claimed.
    """

    claim: Claim
    measured: object
    holds: bool


def check(step: Step, lens: Lens) -> list[Finding]:
    """Every claim of a step, put to the model that the step opens.

    Raises:
        ValueError: a claim cannot be checked; says which and why.
    """
    findings = []
    for claim in step.claims:
        measure = SORTS.get(claim["sort"])
        if measure is None or not set(BOUNDS) & set(claim):
            raise ValueError(f"{claim} needs a sort ({', '.join(SORTS)}) and one of {', '.join(BOUNDS)}")
        where: dict[str, Any] = {"text": step.sentence, "target": step.target, "edits": step.edits}
        where = {**where, "kind": step.kind, "layer": step.layer, "head": step.head, **claim}
        try:
            measured = measure(lens, where)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{claim} cannot be checked: {error!r}") from error
        findings.append(Finding(claim, measured, _holds(claim, measured)))
    return findings


def _holds(claim: Claim, measured: Any) -> bool:
    tests: Mapping[str, Callable[[Any], bool]] = {
        "is": lambda wanted: (list(measured) if isinstance(measured, tuple) else measured) == wanted,
        "at_least": lambda wanted: measured >= wanted,
        "at_most": lambda wanted: measured <= wanted,
        "has": lambda wanted: wanted in measured,
        "lacks": lambda wanted: wanted not in measured,
    }
    return all(bool(tests[name](claim[name])) for name in BOUNDS if name in claim)


def check_all(lessons: list[Lesson], open_model: Callable[[str], Lens]) -> list[tuple[Lesson, Step, Finding]]:
    """Every claim of every lesson."""
    return [
        (lesson, step, one)
        for lesson in lessons
        for step in lesson.steps
        for one in check(step, open_model(step.model))
    ]
