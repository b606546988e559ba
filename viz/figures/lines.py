"""One head as lines between who asks and who is asked."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.grid import thinned
from viz.figures.heads import Window, within
from viz.figures.theme import Palette, escape, framing, made, shorten
from viz.language.messages import say

LEAST, MOST_LINES = 0.02, 150  # weaker weights draw no line, and of more lines only the strongest are drawn


def token_lines(
    attention: Attention,
    layer: int,
    head: int,
    palette: Palette,
    *,
    specials: bool = True,
    row: int | None = None,
    window: Window | None = None,
) -> go.Figure:
    """The same head as lines: who asks on the left, who is asked on the right, the wider the stronger.

    Weights under 2 % draw no line, and never more than 150 are drawn. With a row chosen, its lines stand out.
    """
    queries, keys = within(attention, specials, window)
    asking, asked, weights = attention.strongest(layer, head, queries, keys, MOST_LINES)
    tall = max(len(queries), len(keys), 1)
    layout = framing(
        say("heads.lines_title", layer=layer, head=head), palette, height=int(min(max(tall * 26, 140), 900)) + 110
    )

    def spread(count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) * tall / max(count, 1)

    left, right = spread(len(queries)), spread(len(keys))
    is_row = np.array([i == row for i in queries], bool)[asking]
    parts: list[dict[str, object]] = []
    strengths = np.arange(LEAST, 1.0, 0.14)  # one trace a strength: a trace a line would be slow to draw
    for low, high in zip(strengths, [*strengths[1:], np.inf], strict=True):
        chosen = (weights >= low) & (weights < high)
        for mine, colour in ((False, palette.accent), (True, palette.second)):
            these = chosen & (is_row == mine)
            q, k = asking[these], asked[these]
            if not len(q):
                continue
            gap = np.full(len(q), np.nan)
            dim = 0.25 if row is not None and not mine else 1.0
            parts.append(
                {
                    "type": "scatter",
                    "x": np.stack([np.zeros(len(q)), np.ones(len(q)), gap], 1).ravel().astype(np.float32),
                    "y": np.stack([left[q], right[k], gap], 1).ravel().astype(np.float32),
                    "mode": "lines",
                    "line": {"color": colour, "width": 1 + 6 * float(low)},
                    "opacity": dim * min(1.0, 0.15 + float(low)),
                }
            )
    size = 13 if tall <= 24 else 11 if tall <= 40 else 8
    # Names as points of a trace: as annotations, each is checked against all others, which takes seconds.
    above = [(-0.06 * tall, say(f"heads.{who}_short"), side) for who, side in (("asks", "left"), ("asked", "right"))]
    marked, others = [], []
    for places, positions, tokens, side in (
        (left, queries, attention.query_tokens, "left"),
        (right, keys, attention.key_tokens, "right"),
    ):
        for place, position in list(zip(places, positions, strict=True))[:: thinned(len(positions))]:
            name = escape(shorten(tokens[position], 12))
            if side == "left" and position == row:
                marked.append((place, f"<b>{name}</b>", side))
            else:
                others.append((place, name, side))
    for named, pixels, colour in (
        (above, 12, palette.forbidden),
        (others, size, palette.text),
        (marked, size, palette.second),
    ):
        parts.append(
            {
                "type": "scatter",
                "x": [-0.02 if side == "left" else 1.02 for _, _, side in named],
                "y": np.array([place for place, _, _ in named], np.float32),
                "text": [text for _, text, _ in named],
                "mode": "text",
                "textposition": [f"middle {side}" for _, _, side in named],
                "textfont": {"size": pixels, "color": colour},
            }
        )
    layout |= {
        "xaxis": {"visible": False, "range": [-0.62, 1.62], "fixedrange": True},
        "yaxis": {"visible": False, "range": [tall + 0.3, -0.1 * tall], "fixedrange": True},
    }
    return made([{**part, "hoverinfo": "skip", "showlegend": False} for part in parts], layout)
