"""The numbers behind the figures, as pandas DataFrames."""

from __future__ import annotations

import pandas as pd

from model.trace import Attention
from viz.text import say


def row_table(attention: Attention, layer: int, head: int, row: int) -> pd.DataFrame:
    """One query's keys with score and weight, strongest first."""
    columns: dict[str, object] = {
        say("table.position"): range(len(attention.keys)),
        say("table.token"): attention.key_tokens,
    }
    if attention.has_vectors:
        columns[say("table.score")] = attention.scores(layer)[head, row]
    weight = say("table.weight")
    columns[weight] = attention.weights(layer)[head, row]
    return pd.DataFrame(columns).sort_values(weight, ascending=False, kind="stable", ignore_index=True)
