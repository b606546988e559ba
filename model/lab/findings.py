"""Published findings about heads, checked on a model: measured value, interval, and whether it holds (NumPy only)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.lab.evidence import Evidence, NotMeasured, family_of, read_check
from model.lab.finding_table import FindingSpec, all_findings
from model.lab.measures import MEASURES
from model.lab.measuring import RESAMPLES
from model.lab.resampling import Estimate, estimate, mean_shown
from model.lab.statistics import STATISTICS, best_head, head_statistic, rank_correlation
from model.measures.heads.head_characters import published_aligners
from model.trace.lens import Lens

SENTENCES = 60  # held-out sentences that findings are measured on
WHY = {
    "holds": "The interval is at or above {line}.",
    "fails": "The interval is below {line}.",
    "undecided": "The interval reaches across {line}: more sentences could tell.",
    "holds_once": "One text: no interval. It is at or above {line}.",
    "fails_once": "One text: no interval. It is below {line}.",
    "family": "It is about another family of models.",
    "no_kind": "The model has no attention of this kind.",
    "no_words": "The model predicts no words.",
    "no_edits": "The heads of this model cannot be silenced.",
    "no_aligners": "It needs heads checked against word alignments; they are known for the bundled translator.",
    "not_shown": "No sentence can show it.",
    "few": "Too few sentences: some choose, others measure.",
    "unread": "The sentences cannot be read by this model.",
}


@dataclass(frozen=True)
class Finding:
    """A published finding, checked on one model.

    Attributes:
        name: what it says.
        published: the number of its source, or "no number: a direction".
        measured: with its 95 % interval over sentences; None where it cannot be measured.
        holds: whether the criterion that was fixed beforehand is met; None where it cannot be measured, or where the
            interval reaches across the line.
        why: the reason for that, in a sentence; reason: its id.
        source: where it was published.
        id: of its table in `assets/findings.toml`; unit: of what is measured.
        line: what the whole interval has to reach.
        at: kind, layer and head that was measured; None where it is about many.
    """

    name: str
    published: str
    measured: Estimate | None
    holds: bool | None
    why: str
    source: str
    id: str = field(repr=False)
    reason: str = field(repr=False)
    unit: str = field(repr=False)
    line: float | None = field(default=None, repr=False)
    at: tuple[str, int, int] | None = field(default=None, repr=False)


def check_findings(
    lens: Lens,
    model: str,
    sentences: Sequence[str],
    findings: Sequence[FindingSpec] | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Finding]:
    """The findings that are about a model, each measured; one that cannot be measured says why.

    Args:
        model: its id, by which named heads are looked up.
        sentences: that they are measured on.
        findings: those to check; all by default.
        progress: called with the share done, 0 to 1, between passes; what it raises ends the work.

    Raises:
        InputError: the model reads no text, or none of the sentences.
    """
    read_check(lens)
    specs = [one for one in (all_findings() if findings is None else findings) if one.is_about(model)]
    measures = tuple(
        name for name in MEASURES if name in {one.measure for one in specs} | {one.against for one in specs}
    )
    aligners = published_aligners(model)
    share = [0.0]
    evidence = Evidence(lens, sentences, aligners, measures or ("previous",), seed, lambda: progress(share[0]))
    found = []
    for done, spec in enumerate(specs):
        share[0] = done / len(specs)
        found.append(_checked(spec, evidence, seed))
    progress(1.0)
    return found


def _checked(spec: FindingSpec, evidence: Evidence, seed: int) -> Finding:
    """One finding, measured and judged."""
    try:
        if family_of(evidence.measured("sentences").kinds) not in spec.families:
            raise NotMeasured("family")
        if spec.measure in ("fed_in", "predicted") and not evidence.aligners:
            raise NotMeasured("no_aligners")
        measured, line, at = _measured(spec, evidence, seed)
    except NotMeasured as nothing:
        return _finding(spec, None, None, nothing.reason, None, None)
    except InputError:
        return _finding(spec, None, None, "unread", None, None)
    if math.isnan(measured.value):
        return _finding(spec, None, None, "not_shown", None, None)
    once = math.isnan(measured.low)
    low, high = (measured.value,) * 2 if once else (measured.low, measured.high)
    # A criterion of 0 is one of direction: the interval has to be above it.
    holds = True if low > line or low == line > 0 else False if high < line or (line == 0 and high <= 0) else None
    reason = {True: "holds", False: "fails", None: "undecided"}[holds] + ("_once" if once and holds is not None else "")
    return _finding(spec, measured, holds, reason, line, at)


def _finding(
    spec: FindingSpec,
    measured: Estimate | None,
    holds: bool | None,
    reason: str,
    line: float | None,
    at: tuple[str, int, int] | None,
) -> Finding:
    why = WHY[reason].format(line="" if line is None else f"{line:.2f}")
    says = spec.says.format(**spec.place)
    return Finding(says, spec.published, measured, holds, why, spec.source, spec.id, reason, spec.unit, line, at)


def _measured(spec: FindingSpec, evidence: Evidence, seed: int) -> tuple[Estimate, float, tuple[str, int, int] | None]:
    """The measured value, the line that it has to reach, and the head that it is of."""
    if spec.statistic == "rank_correlation":
        return _correlation(spec, evidence, seed), spec.at_least, None
    values, even = evidence.values(spec)
    place: tuple[int, int] | None = None
    if spec.statistic == "best_head":
        values, place = _judged_by_others(values, spec)
    elif spec.statistic == "head":
        place = spec.head[0], spec.head[1]
        if place[0] >= values.shape[1] or place[1] >= values.shape[2]:
            raise NotMeasured("not_shown")
    statistic = STATISTICS[spec.statistic](spec) if place is None else head_statistic(*place)
    shape = values.shape[1:]
    found = estimate(
        values.reshape(len(values), -1), lambda means: statistic(means.reshape(-1, *shape)), RESAMPLES, seed
    )
    line = spec.at_least
    if spec.times_even and even is not None:
        line = max(line, spec.times_even * float(statistic(even[None])[0]))
    kind = spec.kind if spec.kind in ("all",) or place is None else evidence.kind(spec)
    return found, line, None if place is None else (kind, *place)


def _judged_by_others(values: Array, spec: FindingSpec) -> tuple[Array, tuple[int, int]]:
    """The head that is best on every second sentence, and the sentences between, which did not choose it."""
    shown = values[~np.isnan(values).all((1, 2))]
    if len(shown) < 4:
        raise NotMeasured("few" if len(shown) else "not_shown")
    place = best_head(mean_shown(shown[::2], 0), spec)
    if place is None:
        raise NotMeasured("not_shown")
    return shown[1::2], place


def _correlation(spec: FindingSpec, evidence: Evidence, seed: int) -> Estimate:
    """Rank correlation over heads of a measure with another, on the sentences that have both."""
    effects = evidence.values(spec)[0]
    found = evidence.measured("sentences")
    rows = [found.sentences.index(one) for one in evidence._few()]
    others = found.of(evidence.kind(spec), spec.against)[rows]
    both = np.concatenate([effects.reshape(len(rows), -1), others.reshape(len(rows), -1)], axis=1)

    def correlate(means: Array) -> Array:
        one, other = np.split(means, 2, axis=-1)
        return rank_correlation(one, other)

    return estimate(both, correlate, RESAMPLES, seed)
