"""What the figures of a run taken apart should show: one match split, and what heads add to a score."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.measures.source_groups import summed
from model.trace.boxes.decomposition import Credit
from model.trace.trace import Trace
from viz.figures import decomposition as figures
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import bars_error, points_error
from viz.frame.shown_run import decompositions
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.probes import probe

SATURATED = 0.999  # share of a cap above which a score before the cap cannot be told from the one after


def match_error(trace: Trace, figure: Any, row: int, key: int, score: float) -> float:
    """The error of the parts of one match, whose sum should be the score of the run, before mask and cap."""
    attention, (layer, head) = on_screen.attention_and_head(trace)
    split = decompositions.why(trace, attention.kind, layer, head, row, key)
    groups = figures.match_groups(split)
    names = [figures.source_name(one.kind, one.first, one.last) for one in groups[0]]
    error = cells_error(figure, summed(split.parts, *groups), names, longest=26)
    return max(error, _sum_error(trace, split.parts, score))


def _sum_error(trace: Trace, parts: np.ndarray, whole: float, size: float = 1.0) -> float:
    """By how much more than rounding parts miss a number of the run, as a share of the largest part.

    Args:
        size: of the numbers that the whole is worked out from.
    """
    largest = max(float(np.abs(parts).max(initial=0.0)), size)
    rounding = 20 * trace.verify().tolerance * largest
    return max(abs(float(parts.sum()) - whole) - rounding, 0.0) / largest


def credit_error(trace: Trace, figure: Any, row: int, token: int, against: int) -> float:
    """The error of the bars of who wrote a word, whose sum should be the difference of two scores of the run."""
    credit = decompositions.credit(trace, row, token, against)
    chosen, rest = figures.strongest_parts(credit, figures.MOST_BARS)
    values = [credit.parts[i] for i in chosen] + ([] if rest is None else [rest])
    sources = [credit.sources[i] for i in chosen]
    names = [figures.source_name(one.kind, one.layer, head=one.head) for one in sources]
    names += list(figure.data[0].text[len(names) :])  # that of the rest says how many they are
    error = bars_error(figure, [np.array(values)], names, lying=True, longest=40)
    return max(error, _credit_sum_error(trace, credit, row, token, against))


def _credit_sum_error(trace: Trace, credit: Credit, row: int, token: int, against: int) -> float:
    if trace.logits is None:
        return WRONG
    scores = np.asarray(trace.logits[row], np.float64)[[token, against]]
    if credit.softcap is not None:
        shares = scores / credit.softcap
        if np.abs(shares).max() > SATURATED:
            return 0.0
        scores = credit.softcap * np.arctanh(shares)
    return _sum_error(trace, credit.parts, float(scores[0] - scores[1]), float(np.abs(scores).max()))


def direct_error(trace: Trace, figure: Any) -> float | None:
    """The error of the points of all heads: what each adds to a word, and what silencing it changes."""
    found = probe("effects")
    if found is None or found.effects is None or trace.logits is None:
        return None
    place = int(on_screen.chosen("direct_word", 0))
    row, token = trace.prompt_length - 1 + place, trace.ids["decoder"][trace.prompt_length + place]
    against = next(int(one) for one in np.argsort(-trace.logits[row])[:2] if one != token)
    credit = decompositions.credit(trace, row, token, against)
    heads = figures.head_places(trace, credit)
    adds = {heads[one]: float(part) for one, part in zip(credit.sources, credit.parts, strict=True) if one in heads}
    series = []
    for (kind, effects), shown in zip(found.effects.items(), figure.data, strict=True):
        places = [one for one in adds if one[0] == kind]
        if [tuple(one) for one in (() if shown.customdata is None else shown.customdata)] != places:
            return WRONG
        series.append(np.array([[adds[one], effects[one[1:]]] for one in places]).reshape(-1, 2))
    return max(points_error(figure, series), _credit_sum_error(trace, credit, row, token, against))
