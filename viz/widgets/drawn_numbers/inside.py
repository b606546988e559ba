"""What the figures of Inside should show: each step of the formula for one query, from the numbers of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from model.memory.cached_layers import without_cache
from model.trace.trace import Trace
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import bars_error, curves_error
from viz.figures.theme import shorten
from viz.language.messages import say
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.taken_apart import match_error

Numbers = Callable[["Query"], np.ndarray]  # a number for each key
OWN_DIVISOR = 12  # place of the model's own divisor among those of the slider, each 2^(1/4) times the one before


class Query(NamedTuple):
    """One query of one head, and the keys that it is matched with, as the run recorded them.

    Attributes:
        name, query: its label; [head_dim]. names, keys, values: [key, head_dim]
        bias, scores, weights: [key], scores without the mask. allowed: bool [key]
        scale: of the products; cap: as in `HeadSteps`; sink: -inf without. key: position of the key that is worked out.
    """

    name: str
    query: np.ndarray
    names: tuple[str, ...]
    keys: np.ndarray
    values: np.ndarray
    bias: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    allowed: np.ndarray
    scale: float
    cap: float | None
    sink: float
    key: int

    @property
    def dots(self) -> np.ndarray:
        """q · k. float64 [key]"""
        products: np.ndarray = self.keys @ self.query
        return products

    def rows(self, figure: Any) -> list[int]:
        """The keys that a figure says it shows, from top to bottom."""
        marks = [mark for mark in figure.layout.meta["focus"] if mark.get("pick") == "key"]
        return [int(place) for place in marks[0]["places"]]

    def exponentials(self, scores: np.ndarray) -> np.ndarray:
        """e to the power of scores less the largest allowed, 0 where masked."""
        seen = np.where(self.allowed, scores, -np.inf)
        top = seen.max()
        return np.exp(seen - (top if np.isfinite(top) else 0.0))


def _query(trace: Trace) -> Query:
    attention, (layer, head) = on_screen.attention_and_head(trace)
    attention, row = without_cache(attention), on_screen.row(attention)
    part = attention.select(layer, range(head, head + 1), [row])
    vectors = (part.array("query")[0, 0], part.array("key")[0], part.array("value")[0], part.array("bias")[0, 0])
    query, keys, values, bias = (one.astype(np.float64) for one in vectors)
    scores, weights = part.scores(masked=False)[0, 0], part.weights()[0, 0]
    key = int(on_screen.chosen(f"key_{attention.kind}", weights.argmax()))
    names = attention.query_tokens[row], attention.key_tokens
    allowed = part.array("allowed")[0]
    how = part.scale, part.softcap, float(part.array("sinks")[0])
    return Query(names[0], query, names[1], keys, values, bias, scores, weights, allowed, *how, key)


def _letter(letter: str, name: str) -> str:
    return f"{letter} · {shorten(name, 10)}"


def _vectors(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    rows = one.rows(figure)
    gap = np.full((1, len(one.query)), np.nan)
    names = [_letter("q", one.name), "", *(one.names[i] for i in rows)]
    return cells_error(figure, np.vstack([one.query[None], gap, one.keys[rows]]), names)


def _factors(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    names = [_letter("q", one.name), _letter("k", one.names[one.key])]
    return cells_error(figure, np.stack([one.query, one.keys[one.key]]), names)


def _products(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    return bars_error(figure, [one.query * one.keys[one.key]], list(map(str, range(len(one.query)))))


def _sums(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    sums = np.cumsum(one.query * one.keys[one.key])
    dimensions = np.arange(len(sums))
    return curves_error(figure, [(dimensions, sums), (dimensions[-1:], sums[-1:])], [*map(str, dimensions)])


def _bars(numbers: Numbers, masked: bool) -> Callable[[Trace, Any], float]:
    """The reader of bars of a number for each key. masked: whether masked keys have none"""

    def error(trace: Trace, figure: Any) -> float:
        one = _query(trace)
        rows, values = one.rows(figure), numbers(one)
        if one.key not in rows:
            return WRONG
        values = np.where(one.allowed, values, np.nan) if masked else values
        return bars_error(figure, [values[rows]], [one.names[i] for i in rows], lying=True)

    return error


def _at_divisor(one: Query) -> np.ndarray:
    factor = round(2 ** ((int(on_screen.chosen("divisor", OWN_DIVISOR)) - OWN_DIVISOR) / 4), 4)
    scaled = one.dots * one.scale / factor
    scores = (scaled if one.cap is None else one.cap * np.tanh(scaled / one.cap)) + one.bias
    powers = np.exp(np.where(one.allowed, scores, -np.inf))
    return powers / (powers.sum() + np.exp(one.sink) or 1.0)


def _weighted(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    rows = one.rows(figure)
    hidden = [i for i in range(len(one.names)) if i not in rows]
    weighted = one.weights[:, None] * one.values
    below = [weighted[hidden].sum(0)] if hidden else []
    blank = np.full(one.values.shape[1], np.nan)
    left = [*one.values[rows], *(blank for _ in below), blank, blank]
    right = [*weighted[rows], *below, blank, weighted.sum(0)]
    gap = np.full((len(left), 1), np.nan)
    more = [say("inside.others", count=len(hidden))] if hidden else []
    names = [*(one.names[i] for i in rows), *more, "", say("inside.sum")]
    return cells_error(figure, np.hstack([np.stack(left), gap, np.stack(right)]), names)


def _match(trace: Trace, figure: Any) -> float:
    one = _query(trace)
    attention, _ = on_screen.attention_and_head(trace)
    score = one.dots[one.key] * one.scale + one.bias[one.key]
    return match_error(trace, figure, on_screen.row(attention), one.key, float(score))


INSIDE: dict[str, on_screen.Reader] = {
    "vectors": _vectors,
    "factors": _factors,
    "products": _products,
    "sums": _sums,
    "dots": _bars(lambda one: one.dots, False),
    "scaled": _bars(lambda one: one.dots * one.scale, False),
    "bias": _bars(lambda one: one.bias, False),
    "masked": _bars(lambda one: one.scores, True),
    "powers": _bars(lambda one: one.exponentials(one.scores), True),
    "weights": _bars(lambda one: one.weights, True),
    "yours": _bars(_at_divisor, True),
    "weighted": _weighted,
    "match": _match,
}
