"""Overlay of attention weights on the input picture of a vision model."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.trace.tokens import Picture
from viz.figures.heads import png_uri
from viz.figures.theme import Palette, base_figure, colour_bar, escape
from viz.language.messages import say

PICTURE_HEIGHT = 420  # pixels on screen
TINT_STEPS = 32  # of a row's largest weight, in which the browser gets the rows of a head
STRONGEST_TINT = 0.85


def patch_overlay(
    picture: Picture,
    weights: np.ndarray,
    query: int,
    token: str,
    palette: Palette,
    head_map: np.ndarray | None = None,
) -> go.Figure:
    """Picture in grey with one query's attention weights as a tint over its patches.

    A patch is a token: `layout.meta["focus"]` says where they stand, so that clicking the picture chooses one.

    Args:
        picture: the input, and its patches.
        weights: of every token, those before the patches included. [token]
        query: position of the query; a box is drawn around it where it is a patch.
        token: the query's label.
        palette: colours of the page.
        head_map: the weights of every query of the head, so that the tint follows the pointer. [query, token]

    Raises:
        ValueError: the number of weights is not the number of tokens.
    """
    rows, columns = picture.rows, picture.columns
    if weights.shape != (picture.first + rows * columns,):
        raise ValueError(f"weights have shape {weights.shape}, but there are {picture.first} + {rows * columns} tokens")
    values = weights[picture.first :].reshape(rows, columns).astype(np.float32)
    figure = base_figure(say("pictures.overlay_title", token=escape(token)), palette, height=PICTURE_HEIGHT + 80)
    figure.add_layout_image(_grey_image(picture))
    tint = ",".join(str(int(palette.accent[i : i + 2], 16)) for i in (1, 3, 5))
    figure.add_heatmap(
        z=values,
        zmin=0,
        zmax=float(values.max()) or 1.0,
        customdata=np.moveaxis(np.indices((rows, columns)), 0, -1).astype(np.uint8),
        colorscale=[[0, f"rgba({tint},0)"], [1, f"rgba({tint},{STRONGEST_TINT})"]],
        colorbar=colour_bar(say("heads.unit"), ".1%"),
        hovertemplate=say("pictures.hover") + "<extra></extra>",
    )
    if query >= picture.first:
        row, column = divmod(query - picture.first, columns)
        box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", line={"color": palette.second, "width": 3}, **box)
    meta: dict[str, Any] = {
        "focus": [{"axis": "grid", "stack": "encoder", "rows": rows, "columns": columns, "first": picture.first}]
    }
    if head_map is not None:
        meta["tint"] = {"row": query, "colour": [int(part) for part in tint.split(",")], "strongest": STRONGEST_TINT}
        meta["tint"] |= {"steps": TINT_STEPS, "rows": _packed_rows(head_map[:, picture.first :])}
        meta["tint"]["title"] = say("pictures.overlay_title", token="{token}")
    bare = {"showgrid": False, "zeroline": False, "visible": False, "fixedrange": True, "constrain": "domain"}
    across = {"range": [-0.5, columns - 0.5], "constraintoward": "left"}
    down = {"range": [rows - 0.5, -0.5], "constraintoward": "top", "scaleanchor": "x"}
    figure.update_layout(meta=meta, xaxis=across | bare, yaxis=down | bare)
    return figure


def _grey_image(picture: Picture) -> dict[str, Any]:
    """The picture without its colours, as an image of the layout under the patches."""
    grey = (picture.pixels @ np.array([0.299, 0.587, 0.114]))[..., None].repeat(3, axis=-1)
    opaque = np.full((*grey.shape[:2], 1), 255)
    source = png_uri(np.concatenate([grey, opaque], axis=-1).round().astype(np.uint8))
    place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": picture.columns, "sizey": picture.rows}
    return {"source": source, "sizing": "stretch", "layer": "below", **place}


def _packed_rows(weights: np.ndarray) -> str:
    """Each row in steps of its largest weight, a byte a cell, deflated, in base 64."""
    weights = np.nan_to_num(weights)
    largest = np.maximum(weights.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    steps = (weights / largest * TINT_STEPS).round().astype(np.uint8)
    return base64.b64encode(zlib.compress(steps.tobytes())).decode()
