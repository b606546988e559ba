"""Heads: all of them as one picture, one of them as a map, as lines, and as a row."""

from __future__ import annotations

import base64
import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from model.measures import entropy_bits, shown
from model.trace import Attention, Tokens
from viz.figures.grid import grid
from viz.figures.theme import Palette, escape, frame, paint, shorten
from viz.text import say

THUMB, GAP = 56, 8  # pixels of a thumbnail and between two


def head_heatmap(
    attention: Attention, layer: int, head: int, palette: Palette, *, specials: bool = True, row: int | None = None
) -> go.Figure:
    """One head's weights: who asks from top to bottom, who is asked from left to right; masked cells stay blank.

    Args:
        specials: False leaves out the rows and columns of special tokens.
        row: position of a query to draw a box around.
    """
    queries, keys = shown(attention.queries, specials), shown(attention.keys, specials)
    weights = masked(attention, layer, attention.weights(layer)[head])
    return grid(
        weights[np.ix_(queries, keys)],
        rows=[attention.query_tokens[i] for i in queries],
        columns=[attention.key_tokens[i] for i in keys],
        row_names=[full_name(attention.queries, i) for i in queries],
        column_names=[full_name(attention.keys, i) for i in keys],
        title=say("heads.map_title", kind=say(f"kinds.{attention.kind}"), layer=layer, head=head),
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("heads.unit"),
        hover=say("heads.hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
        highlight=queries.index(row) if row in queries else None,
    )


def full_name(tokens: Tokens, place: int) -> str:
    """A token's name, and the piece as its tokenizer writes it where that differs."""
    name = tokens.name(place)
    raw = tokens.raw[place] if tokens.raw else tokens.texts[place]
    return name if raw == tokens.texts[place] else say("heads.raw", name=name, raw=raw)


def masked(attention: Attention, layer: int, values: np.ndarray) -> np.ndarray:
    """Values with NaN where the mask forbids. [..., query, key]"""
    return np.where(attention.mask(layer), values, np.nan)


def head_mosaic(attention: Attention, palette: Palette, *, selected: tuple[int, int] | None = None) -> go.Figure:
    """All heads of all layers as one picture; a click on a thumbnail reports its customdata (layer, head)."""
    step = THUMB + GAP
    layers, heads = attention.num_layers, attention.num_heads
    picture = np.zeros((layers * step, heads * step, 4), np.uint8)
    cells = []
    for layer in range(layers):
        weights = attention.weights(layer)
        cut = masked(attention, layer, weights)
        for head in range(heads):
            thumbnail = paint(resize(cut[head], THUMB), palette.sequential)
            top, left = layer * step + GAP // 2, head * step + GAP // 2
            picture[top : top + THUMB, left : left + THUMB] = thumbnail
            q, k = np.unravel_index(weights[head].argmax(), weights[head].shape)
            cells.append(
                say(
                    "heads.thumbnail",
                    layer=layer,
                    head=head,
                    query=escape(attention.queries.name(int(q))),
                    key=escape(attention.keys.name(int(k))),
                    weight=f"{weights[head, q, k]:.0%}",
                    entropy=f"{entropy_bits(weights[head]).mean():.1f}",
                )
            )
    figure = frame(
        say("heads.mosaic_title", kind=say(f"kinds.{attention.kind}")),
        palette,
        height=int(max(min(92, 1100 / layers) * layers, 160)) + 110,
    )
    figure.add_layout_image(
        source=png(picture),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=heads,
        sizey=layers,
        sizing="stretch",
        layer="below",
    )
    # Plotly reports no click on an image; invisible squares over the thumbnails do the reporting.
    figure.add_scatter(
        x=[head for _ in range(layers) for head in range(heads)],
        y=[layer for layer in range(layers) for _ in range(heads)],
        customdata=[[layer, head] for layer in range(layers) for head in range(heads)],
        text=cells,
        mode="markers",
        marker={"symbol": "square", "size": 36, "color": "rgba(0,0,0,0)"},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    bare = {"showgrid": False, "zeroline": False, "fixedrange": True, "tickmode": "array"}
    figure.update_layout(
        xaxis={"range": [-0.5, heads - 0.5], "title": say("heads.head_axis"), "tickvals": list(range(heads)), **bare},
        yaxis={
            "range": [layers - 0.5, -0.5],
            "title": say("heads.layer_axis"),
            "tickvals": list(range(layers)),
            **bare,
        },
        hoverdistance=60,
    )
    if selected is not None:
        layer, head = selected
        figure.add_shape(
            type="rect",
            x0=head - 0.48,
            x1=head + 0.48,
            y0=layer - 0.48,
            y1=layer + 0.48,
            line={"color": palette.second, "width": 3},
        )
    return figure


def token_lines(
    attention: Attention, layer: int, head: int, palette: Palette, *, specials: bool = True, row: int | None = None
) -> go.Figure:
    """The same head as lines: who asks on the left, who is asked on the right, the wider the stronger.

    Weights under 2 % draw no line. With a row chosen, its lines stand out.
    """
    queries, keys = shown(attention.queries, specials), shown(attention.keys, specials)
    weights = attention.weights(layer)[head][np.ix_(queries, keys)]  # [query, key]
    tall = max(len(queries), len(keys), 1)
    figure = frame(
        say("heads.lines_title", layer=layer, head=head), palette, height=int(min(max(tall * 26, 140), 900)) + 110
    )

    def spread(count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) * tall / max(count, 1)

    left, right = spread(len(queries)), spread(len(keys))
    for low in np.arange(0.02, 1.0, 0.07):  # one trace a strength: a trace a line would be slow to draw
        for mine, colour in ((False, palette.accent), (True, palette.second)):
            chosen = (weights >= low) & (weights < low + 0.07)
            is_row = np.array([i == row for i in queries], bool)[:, None]
            q, k = np.nonzero(chosen & (is_row == mine))
            if not len(q):
                continue
            gap = np.full(len(q), np.nan)
            dim = 0.25 if row is not None and not mine else 1.0
            figure.add_scatter(
                x=np.stack([np.zeros(len(q)), np.ones(len(q)), gap], 1).ravel().astype(np.float32),
                y=np.stack([left[q], right[k], gap], 1).ravel().astype(np.float32),
                mode="lines",
                line={"color": colour, "width": 1 + 6 * float(low)},
                opacity=dim * min(1.0, 0.15 + float(low)),
                hoverinfo="skip",
                showlegend=False,
            )
    size = 13 if tall <= 24 else 11 if tall <= 40 else 8
    for places, positions, tokens, x, anchor in (
        (left, queries, attention.query_tokens, -0.02, "right"),
        (right, keys, attention.key_tokens, 1.02, "left"),
    ):
        step = -(-len(positions) // 60) or 1
        for place, position in list(zip(places, positions, strict=True))[::step]:
            bold = anchor == "right" and position == row
            figure.add_annotation(
                x=x,
                y=place,
                text=f"<b>{escape(shorten(tokens[position], 12))}</b>"
                if bold
                else escape(shorten(tokens[position], 12)),
                showarrow=False,
                xanchor=anchor,
                font={"size": size, "color": palette.second if bold else palette.text},
            )
    for x, anchor, side in ((-0.02, "right", "asks_short"), (1.02, "left", "asked_short")):
        figure.add_annotation(
            x=x,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=say(f"heads.{side}"),
            showarrow=False,
            xanchor=anchor,
            font={"size": 12, "color": palette.forbidden},
        )
    figure.update_layout(
        xaxis={"visible": False, "range": [-0.62, 1.62], "fixedrange": True},
        yaxis={"visible": False, "range": [tall + 0.3, -0.3], "fixedrange": True},
        margin={"t": 72},
    )
    return figure


def resize(values: np.ndarray, size: int) -> np.ndarray:
    """A map as `size` × `size` pixels: cells repeated where it is smaller, the largest kept where it is bigger."""
    for axis in (0, 1):
        length = values.shape[axis]
        if length > size:
            starts = (np.arange(size) * length) // size
            values = np.fmax.reduceat(values, starts, axis=axis)
        else:
            values = np.take(values, (np.arange(size) * length) // size, axis=axis)
    return values


def png(picture: np.ndarray) -> str:
    """uint8 [height, width, 4] as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture, "RGBA").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
