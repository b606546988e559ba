"""Checks of the claims that lessons make about models. `python -m model.claims` checks all lessons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.lessons.claim_fields import ClaimFields
from model.lessons.evidence import MEASURES
from model.lessons.lesson import Lesson, LessonStep
from model.trace.lens import Lens

BOUNDS = ("is", "at_least", "at_most", "has", "lacks")


@dataclass(frozen=True)
class ClaimResult:
    """Result of checking a claim.

    Attributes:
        claim: as the lesson file has it.
        measured: the number, token or text that the claim is about.
        holds: whether it is as claimed.
    """

    claim: ClaimFields
    measured: object
    holds: bool


def check_step(step: LessonStep, lens: Lens) -> list[ClaimResult]:
    """The results of all claims of a step.

    Args:
        lens: the model that the step opens.

    Raises:
        ValueError: a claim has no known sort or no bound, or names what the model does not have.
    """
    return [check_claim(step, claim, lens) for claim in step.claims]


def check_claim(step: LessonStep, claim: ClaimFields, lens: Lens) -> ClaimResult:
    """The result of one claim of a step.

    Args:
        claim: its fields; those that it lacks are the step's.
        lens: the model that it is about.

    Raises:
        ValueError: as of `check_step`.
    """
    measure = MEASURES.get(claim["sort"])
    if measure is None or not set(BOUNDS) & set(claim):
        raise ValueError(f"{claim} needs a sort ({', '.join(MEASURES)}) and one of {', '.join(BOUNDS)}")
    fields: dict[str, Any] = {"text": step.sentence, "target": step.target, "edits": step.edits}
    fields["picture"] = step.also.get("picture", "")
    fields = {**fields, "kind": step.kind, "layer": step.layer, "head": step.head, **claim}
    try:
        measured = measure(lens, fields)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{claim} cannot be checked: {error!r}") from error
    return ClaimResult(claim, measured, _holds(claim, measured))


def _holds(claim: ClaimFields, measured: Any) -> bool:
    """Whether a measurement meets all bounds of a claim."""
    tests: Mapping[str, Callable[[Any], bool]] = {
        "is": lambda bound: (list(measured) if isinstance(measured, tuple) else measured) == bound,
        "at_least": lambda bound: measured >= bound,
        "at_most": lambda bound: measured <= bound,
        "has": lambda bound: bound in measured,
        "lacks": lambda bound: bound not in measured,
    }
    return all(bool(tests[name](claim[name])) for name in BOUNDS if name in claim)


def check_lessons(
    lessons: list[Lesson], open_model: Callable[[str], Lens]
) -> list[tuple[Lesson, LessonStep, ClaimResult]]:
    """The results of all claims of all lessons, each with its lesson and step.

    Args:
        open_model: returns the model of a name.

    Raises:
        ValueError: a claim cannot be checked.
    """
    return [
        (lesson, step, one)
        for lesson in lessons
        for step in lesson.steps
        for claim in step.claims
        for one in [check_claim(step, claim, open_model(claim.get("model", step.model)))]
    ]
