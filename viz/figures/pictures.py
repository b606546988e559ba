"""Overlay of attention weights on the input picture of a vision model."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.tokens import Picture
from viz.figures.heads import png_uri
from viz.figures.theme import Palette, base_figure, colour_bar, escape
from viz.language.messages import say

PICTURE_HEIGHT = 420  # pixels on screen


def patch_overlay(picture: Picture, weights: np.ndarray, query: int, token: str, palette: Palette) -> go.Figure:
    """Picture in grey with one query's attention weights as a tint over its patches.

    Args:
        picture: the input, and its patches.
        weights: of every token, those before the patches included. [token]
        query: position of the query; a box is drawn around it where it is a patch.
        token: the query's label.
        palette: colours of the page.

    Raises:
        ValueError: the number of weights is not the number of tokens.
    """
    rows, columns = picture.rows, picture.columns
    if weights.shape != (picture.first + rows * columns,):
        raise ValueError(f"weights have shape {weights.shape}, but there are {picture.first} + {rows * columns} tokens")
    values = weights[picture.first :].reshape(rows, columns).astype(np.float32)
    figure = base_figure(say("pictures.overlay_title", token=escape(token)), palette, height=PICTURE_HEIGHT + 80)
    grey = (picture.pixels @ np.array([0.299, 0.587, 0.114]))[..., None].repeat(3, axis=-1)
    opaque = np.full((*grey.shape[:2], 1), 255)
    figure.add_layout_image(
        source=png_uri(np.concatenate([grey, opaque], axis=-1).round().astype(np.uint8)),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=columns,
        sizey=rows,
        sizing="stretch",
        layer="below",
    )
    tint = ",".join(str(int(palette.accent[i : i + 2], 16)) for i in (1, 3, 5))
    figure.add_heatmap(
        z=values,
        zmin=0,
        zmax=float(values.max()) or 1.0,
        customdata=np.moveaxis(np.indices((rows, columns)), 0, -1).astype(np.uint8),
        colorscale=[[0, f"rgba({tint},0)"], [1, f"rgba({tint},0.85)"]],
        colorbar=colour_bar(say("heads.unit"), ".1%"),
        hovertemplate=say("pictures.hover") + "<extra></extra>",
    )
    if query >= picture.first:
        row, column = divmod(query - picture.first, columns)
        figure.add_shape(
            type="rect",
            x0=column - 0.5,
            x1=column + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": palette.second, "width": 3},
        )
    bare = {"showgrid": False, "zeroline": False, "visible": False, "fixedrange": True}
    figure.update_layout(
        xaxis={"range": [-0.5, columns - 0.5], "constrain": "domain", **bare},
        yaxis={"range": [rows - 0.5, -0.5], "scaleanchor": "x", "constrain": "domain", **bare},
    )
    return figure
