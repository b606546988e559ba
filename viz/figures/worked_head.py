"""One query's computation in one head, with the names, rows and sizes of what is drawn of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.measures.heads.head_steps import HeadSteps, head_steps
from model.trace.attention import Attention
from viz.figures.grid import signed_limits
from viz.figures.linking import focus_rows, query_stack
from viz.figures.margins import width
from viz.figures.theme import Palette, shorten, unvalidated_figure

MAX_KEYS = 24  # rows of keys that a figure draws; of more, those of the largest weights
ROOM, MIN_ROW, MAX_ROW = 330, 12, 34  # pixels of all rows of a figure, and of one of them
TOP, BOTTOM = 66, 44  # pixels above the rows, the figure's title included, and below
OUTLIER = 2.5  # times the 98th percentile, above which the largest values lie beyond the ends of the colour scale


@dataclass(frozen=True, eq=False)
class WorkedHead:
    """One query's computation in one head, and what is drawn of it.

    Attributes:
        steps: the numbers. attention: names of the tokens. row: position of the query.
        key: position of the key that is worked out; shown: positions of the keys that have a row, in rising order.
    """

    steps: HeadSteps
    attention: Attention
    row: int
    key: int
    shown: tuple[int, ...]

    @property
    def query_name(self) -> str:
        """Label of the query token."""
        return self.attention.query_tokens[self.row]

    @property
    def key_name(self) -> str:
        """Label of the key that is worked out."""
        return self.attention.key_tokens[self.key]

    @property
    def labels(self) -> list[str]:
        """Labels of the keys that have a row."""
        return [self.attention.key_tokens[i] for i in self.shown]

    @property
    def hidden(self) -> list[int]:
        """Positions of the keys that have no row."""
        return [i for i in range(len(self.attention.keys)) if i not in self.shown]

    @property
    def chosen(self) -> int:
        """Row of the key that is worked out."""
        return self.shown.index(self.key)

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the colour scale of q and K."""
        return robust_limits(np.vstack([self.steps.query[None], self.steps.keys]))

    @property
    def value_limits(self) -> tuple[float, float]:
        """Ends of the colour scale of the values, the weighted values and their sum."""
        return robust_limits(self.steps.values)

    def key_marks(self, first: int = 0) -> list[dict[str, Any]]:
        """The keys' rows for the browser, from a row on; a click on one chooses the key instead of the query."""
        stack = "decoder" if self.attention.kind == "decoder" else "encoder"
        (mark,) = focus_rows((stack, self.shown))
        return [mark | {"at": [first + i for i in mark["at"]], "pick": "key"}]

    def query_marks(self) -> list[dict[str, Any]]:
        """The query's row for the browser, the first of a figure."""
        return focus_rows((query_stack(self.attention.kind), [self.row]))


def worked_head(attention: Attention, layer: int, head: int, row: int, key: int | None = None) -> WorkedHead:
    """The computation of one query of one head, with the key to work out: that of the largest weight if None."""
    steps = head_steps(attention, layer, head, row)
    key = int(steps.weights.argmax()) if key is None else key
    return WorkedHead(steps, attention, row, key, tuple(steps.strongest_keys(MAX_KEYS, key)))


def robust_limits(array: np.ndarray) -> tuple[float, float]:
    """Limits of a diverging scale: the largest value, or 1.5 times the 98th percentile where that is an outlier."""
    usual = float(np.quantile(np.abs(array), 0.98))
    low, high = signed_limits(array)
    return (-1.5 * usual, 1.5 * usual) if 0 < OUTLIER * usual < high else (low, high)


def label_width(labels: Sequence[str]) -> int:
    return round(max(width(shorten(label), 13) for label in labels)) + 10


def row_box(row: int, left: float, right: float, palette: Palette) -> dict[str, Any]:
    """Shape around the row of the key that is worked out."""
    line = {"color": palette.text, "width": 1.5}
    return {"type": "rect", "line": line, "x0": left, "x1": right, "y0": row - 0.5, "y1": row + 0.5}


def resized(
    figure: go.Figure, rows: int, marks: list[dict[str, Any]], row: int | None = None, **margin: int
) -> go.Figure:
    """The figure with rows that fit into the first screen, given margins, and marks for the browser."""
    layout = dict(figure._layout)
    row = row or round(min(max(ROOM / rows, MIN_ROW), MAX_ROW))
    layout["margin"] = layout["margin"] | margin
    layout["height"] = row * rows + layout["margin"]["t"] + layout["margin"]["b"]
    for axis in ("xaxis", "yaxis"):  # else Plotly would enlarge the margins, and the edges no longer be the same
        layout[axis] = layout[axis] | {"automargin": False}
    layout["meta"] = (layout.get("meta") or {}) | {"focus": marks}
    return unvalidated_figure(figure._data, layout)
