"""One head's weights as a library computed them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.grid import grid
from viz.figures.theme import Palette
from viz.language.messages import say


def library_map(weights: np.ndarray, attention: Attention, layer: int, title: str, palette: Palette) -> go.Figure:
    """A head's weights on the scale that all libraries share, 0 to 1; masked cells stay blank. [query, key]"""
    return grid(
        np.where(attention.mask(layer), weights, np.nan),
        rows=attention.query_tokens,
        columns=attention.key_tokens,
        row_names=[attention.queries.name(i) for i in range(len(attention.queries))],
        column_names=[attention.keys.name(i) for i in range(len(attention.keys))],
        title=title,
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("heads.unit"),
        narrow=True,
        bar=False,  # the same in all maps, and each needs its room
        hover=say("code.hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
    )
