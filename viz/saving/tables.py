"""Numbers of the figures as pandas DataFrames. pandas is imported by the first call: it would delay the first page."""

from __future__ import annotations

import csv
import html
import io
import re
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from model.trace.tokens import Tokens
from viz.language.messages import say

if TYPE_CHECKING:
    import pandas as pd

ANSWER_COLUMNS = ("time", "lesson", "step", "question", "answer", "right")
# The wide ones run, too, where a spreadsheet is set to Chinese, Japanese or Korean.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def row_table(attention: Attention, layer: int, head: int, row: int) -> pd.DataFrame:
    """Table of one query's keys with position, token, score and weight, largest weight first."""
    import pandas as pd

    columns: dict[str, object] = {
        say("table.position"): range(len(attention.keys)),
        say("table.token"): attention.key_tokens,
    }
    if attention.has_vectors:
        columns[say("table.score")] = attention.select(layer, range(head, head + 1), [row]).scores()[0, 0]
    weight = say("table.weight")
    columns[weight] = attention.row(layer, row)[head]
    return pd.DataFrame(columns).sort_values(weight, ascending=False, kind="stable", ignore_index=True)


def weights_table(attention: Attention, layers: range, heads: range) -> pd.DataFrame:
    """Table of all cells of some heads, a row each: layer, head, query, key, mask, score and weight."""
    import pandas as pd

    queries, keys = len(attention.queries), len(attention.keys)
    layer, head, query, key = np.array(list(product(layers, heads, range(queries), range(keys))), int).reshape(-1, 4).T
    columns: dict[str, object] = {
        say("table.layer"): layer,
        say("table.head"): head,
        say("table.query_position"): query,
        say("table.query"): np.array(attention.query_tokens, object)[query],
        say("table.key_position"): key,
        say("table.token"): np.array(attention.key_tokens, object)[key],
        say("table.allowed"): np.stack([attention.mask(i) for i in layers]).repeat(len(heads), 0).ravel(),
    }
    parts = [attention.select(i, heads, range(queries)) for i in layers]
    if attention.has_vectors:
        columns[say("table.score")] = np.stack([part.scores() for part in parts]).ravel()
    columns[say("table.weight")] = np.stack([part.weights() for part in parts]).ravel()
    return pd.DataFrame(columns)


def figure_table(figure: go.Figure) -> pd.DataFrame:
    """Table of what a figure draws in long format: a row for each cell of its heat maps, or else for each point.

    Blank cells have no value; columns with positions tell repeated tokens apart.
    """
    import pandas as pd

    layout = figure.layout
    tables = []
    for trace in figure.data:
        if trace.type == "heatmap":
            second = "2" if trace.xaxis == "x2" else ""
            z = np.asarray(trace.z)
            row, column = (positions.ravel() for positions in np.indices(z.shape))
            columns: dict[str, object] = {}
            for name, axis, positions in (("y", layout.yaxis, row), ("x", layout.xaxis, column)):
                title = label_text(axis.title.text) or say(f"table.{name}")
                labels = layout[f"{name}axis{second}"]
                columns[say("table.place", axis=title)] = positions
                if labels.ticktext is not None and len(labels.ticktext) == z.shape[name == "x"]:
                    columns[title] = np.array([label_text(text) for text in labels.ticktext], object)[positions]
            columns[label_text(trace.colorbar.title.text) or say("table.value")] = z.ravel()
            tables.append(pd.DataFrame(columns))
        elif not any(one.type == "heatmap" for one in figure.data) and not _catches_clicks(trace):
            horizontal = trace.type == "bar" and trace.orientation == "h"
            names = [
                label_text(axis.title.text) or say(f"table.{name}")
                for name, axis in zip("xy", (layout.xaxis, layout.yaxis), strict=True)
            ]
            columns = {say("table.series"): label_text(trace.name), names[0]: list(trace.x)}
            columns[names[1] if names[1] != names[0] else f"{names[1]} (y)"] = list(trace.y)
            labels = layout.yaxis if horizontal else layout.xaxis
            if isinstance(trace.text, (tuple, list)) and any(trace.text):
                columns[say("table.label")] = [label_text(text) for text in trace.text]
            elif labels.ticktext is not None:
                tick_texts = dict(zip(labels.tickvals, labels.ticktext, strict=True))
                columns[say("table.label")] = [
                    label_text(tick_texts.get(position)) for position in (trace.y if horizontal else trace.x)
                ]
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _catches_clicks(trace: go.Scatter) -> bool:
    """Whether a trace has invisible markers, which only report clicks."""
    return trace.type == "scatter" and trace.marker.color == "rgba(0,0,0,0)"


def spreadsheet_safe(cell: object) -> object:
    """The same cell; text that a spreadsheet would run as a formula begins with an apostrophe, which makes it text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def table_csv(table: pd.DataFrame) -> str:
    """A table as CSV whose texts, headings included, no spreadsheet runs as formulas; numbers stay as they are."""
    safe = table.rename(columns=spreadsheet_safe)
    for place in range(safe.shape[1]):
        column = safe.iloc[:, place]
        if column.dtype.kind not in "biufc":
            safe.isetitem(place, column.map(lambda cell: spreadsheet_safe(_one_kind_of_line_end(cell))))
    return safe.to_csv(index=False)


def _one_kind_of_line_end(cell: object) -> object:
    """The same cell; a carriage return in a text, which CSV would leave without quotes, is a line feed."""
    if not isinstance(cell, str) or "\r" not in cell:
        return cell
    start = "'" if cell.startswith("\r") else ""  # still told to be text
    return start + cell.replace("\r\n", "\n").replace("\r", "\n")


def label_text(text: object) -> str:
    """Text of a Plotly label without tags and entities."""
    return html.unescape(re.sub(r"</?[a-z]+>", " ", str(text or ""))).strip()


def wide_figure_table(figure: go.Figure) -> pd.DataFrame:
    """Table of what a figure draws in wide format: the matrix of its first heat map, or else a row for each point.

    Rows and columns of a matrix are numbered, because tokens repeat: "0 the", "1 cat".
    """
    import pandas as pd

    for trace in figure.data:
        if trace.type == "heatmap":
            values = np.asarray(trace.z, dtype=np.float32)
            rows = _labels(figure, trace.yaxis or "y", values.shape[0])
            columns = _labels(figure, trace.xaxis or "x", values.shape[1])
            table = pd.DataFrame(values, columns=[f"{i} {name}" for i, name in enumerate(columns)])
            table.insert(0, say("audience.row"), [f"{i} {name}" for i, name in enumerate(rows)])
            return table
    points = []
    for trace in figure.data:
        xs, ys = (np.atleast_1d([] if values is None else values) for values in (trace.x, trace.y))
        texts = trace.text if isinstance(trace.text, (tuple, list, np.ndarray)) else [trace.text or ""] * len(ys)
        points += [
            {
                say("audience.curve"): trace.name or "",
                figure.layout.xaxis.title.text or "x": x,
                figure.layout.yaxis.title.text or "y": y,
                say("audience.text"): html.unescape(str(text).replace("<br>", ", ")),
            }
            for x, y, text in zip(xs, ys, texts, strict=False)
            if x is not None and y is not None
        ]
    table = pd.DataFrame(points)
    return table.loc[:, [not (table[name] == "").all() for name in table.columns]]


def _labels(figure: go.Figure, axis: str, count: int) -> list[str]:
    """Labels of an axis of a heat map, empty where it has none; axis: of the trace, such as "x2"; count: of cells."""
    settings = figure.layout[axis[0] + "axis" + axis[1:]]
    texts = dict(zip(settings.tickvals or (), settings.ticktext or (), strict=False))
    return [html.unescape(str(texts.get(i, ""))) for i in range(count)]


def focus_table(weights: np.ndarray, queries: Tokens, keys: Tokens, row: int, *, one_text: bool) -> pd.DataFrame:
    """Table of the tokens of a text: how much one of them looks at each and, in one text, how much each looks at it.

    Args:
        weights: [query, key]
        row: position of the token that looks.
        one_text: whether queries and keys are the same tokens.
    """
    import pandas as pd

    columns: dict[str, object] = {
        say("table.position"): range(len(keys)),
        say("table.token"): keys.texts,
        say("table.looked_from", token=queries.name(row)): weights[row],
    }
    if one_text:
        columns[say("table.looks_at", token=queries.name(row))] = weights[:, row]
    return pd.DataFrame(columns)


def answers_csv(rows: list[tuple[str | int, ...]]) -> bytes:
    """Answers in lessons as CSV with a header, with a byte-order mark so that spreadsheets read it as UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(ANSWER_COLUMNS)
    writer.writerows([spreadsheet_safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")
