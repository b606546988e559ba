"""Heat map of one head's weights as PyTorch, Hugging Face or Keras computed them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.grid import grid
from viz.figures.linking import query_stack
from viz.figures.theme import Palette
from viz.language.messages import say


def library_heatmap(weights: np.ndarray, attention: Attention, layer: int, title: str, palette: Palette) -> go.Figure:
    """Heat map of one head's weights from a library, without a colour bar; masked cells are blank.

    Args:
        weights: of the library. [query, key]
        attention, layer: whose tokens and mask the weights have.
        title: of the figure.
        palette: colours of the page.

    Returns:
        A heat map from 0 to 1, the scale that all libraries share.
    """
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
        fit=True,
        bar=False,  # the maps share one scale, and each needs the room
        hover=say("code.hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
        focus=(query_stack(attention.kind), range(len(attention.queries))),
    )
