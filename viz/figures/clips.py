"""The frames of a clip or a picture, tinted by what one patch looks at, and how much heads stay on what moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.structures.clip_tracks import Track
from model.trace.tokens import Picture
from viz.figures.heads import png_uri
from viz.figures.theme import DARK, Palette, base_figure, colour_bar, escape
from viz.language.messages import say

COLUMNS = 4  # frames in a row of the figure
FRAME_PIXELS = 190
STRONGEST_TINT = 0.75
TINT, TRACK = "255,140,26", DARK.second  # seen on dark and light frames in either theme


def grey_frames(picture: Picture) -> np.ndarray:
    """The frames without their colours, so that a tint is seen. uint8 [frame, height, width, 4]"""
    grey = (picture.pixels @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    frames = grey.reshape(picture.frames, -1, grey.shape[1])
    opaque = np.full_like(frames, 255)
    return np.stack([frames, frames, frames, opaque], axis=-1)


def frame_images(picture: Picture) -> list[str]:
    """Each frame as a PNG data URI."""
    return [png_uri(frame) for frame in grey_frames(picture)]


def clip_frames(
    picture: Picture, weights: np.ndarray, query: int, tracks: Sequence[Track], title: str, palette: Palette
) -> go.Figure:
    """The frames beside each other in grey, tinted by one query's weights, with the known tracks.

    Args:
        weights: of every token, those before the patches included. [token]
        query: position of the query; a box is drawn around it where it is a patch.
        tracks: what moves, if that is known.

    Raises:
        ValueError: the number of weights is not the number of tokens.
    """
    side, across = picture.rows // picture.frames, picture.columns
    if weights.shape != (picture.first + picture.rows * across,):
        raise ValueError(
            f"weights have shape {weights.shape}, but there are {picture.first} + {picture.rows * across} tokens"
        )
    columns = min(COLUMNS, picture.frames)
    rows = -(-picture.frames // columns)
    values = np.nan_to_num(weights[picture.first :]).reshape(picture.frames, side, across)
    frames = grey_frames(picture)
    pixels = frames.shape[1] // side, frames.shape[2] // across  # of a patch
    down, right = rows * (side + 1), columns * (across + 1)  # a line above each frame, a column after it
    z = np.full((down, right), np.nan, np.float32)
    image = np.zeros((down * pixels[0], right * pixels[1], 4), np.uint8)
    corners = [_corner(frame, columns, side, across) for frame in range(picture.frames)]
    for frame, (top, left) in enumerate(corners):
        z[top : top + side, left : left + across] = values[frame]
        place = top * pixels[0], left * pixels[1]
        image[place[0] : place[0] + frames.shape[1], place[1] : place[1] + frames.shape[2]] = frames[frame]
    figure = base_figure(title, palette, height=rows * FRAME_PIXELS + 80)
    where = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": right, "sizey": down}
    figure.add_layout_image({"source": png_uri(image), "sizing": "stretch", "layer": "below", **where})
    figure.add_heatmap(
        z=z,
        zmin=0,
        zmax=float(values.max()) or 1.0,
        colorscale=[[0, f"rgba({TINT},0)"], [1, f"rgba({TINT},{STRONGEST_TINT})"]],
        colorbar=colour_bar(say("heads.unit"), ".1%"),
        hoverinfo="skip",
    )
    if picture.frames > 1:
        x, y = [left - 0.5 for _, left in corners], [top - 1 for top, _ in corners]
        names = [say("video.frame", frame=frame) for frame in range(picture.frames)]
        _text(figure, x, y, names, palette)
    for number, track in enumerate(tracks):
        _track(figure, track, number, corners, (side, across))
    if query >= picture.first:
        of_frame, at = divmod(query - picture.first, side * across)
        row, column = np.add(corners[of_frame], divmod(at, across))
        box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", line={"color": palette.second, "width": 3}, **box)
    bare = {"showgrid": False, "zeroline": False, "visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_layout(
        xaxis={"range": [-0.5, right - 0.5], "constraintoward": "left"} | bare,
        yaxis={"range": [down - 0.5, -0.5], "constraintoward": "top", "scaleanchor": "x"} | bare,
    )
    return figure


def _corner(frame: int, columns: int, side: int, across: int) -> tuple[int, int]:
    """Row and column of a frame's first patch."""
    row, column = divmod(frame, columns)
    return row * (side + 1) + 1, column * (across + 1)


def _text(figure: go.Figure, x: Sequence[float], y: Sequence[float], texts: Sequence[str], palette: Palette) -> None:
    font = {"size": 12, "color": palette.text}
    figure.add_scatter(
        x=x,
        y=y,
        text=texts,
        mode="text",
        textposition="middle right",
        textfont=font,
        hoverinfo="skip",
        showlegend=False,
    )


def _track(
    figure: go.Figure, track: Track, number: int, corners: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> None:
    """The box of a thing in each frame."""
    x: list[float | None] = []
    y: list[float | None] = []
    for (top, left), box in zip(corners, track.boxes, strict=True):
        x0, y0, x1, y1 = (float(at) for at in box * [shape[1], shape[0], shape[1], shape[0]])
        x += [left - 0.5 + at for at in (x0, x1, x1, x0, x0)] + [None]
        y += [top - 0.5 + at for at in (y0, y0, y1, y1, y0)] + [None]
    line = {"color": TRACK, "width": 2, "dash": ("solid", "dash", "dot")[number % 3]}
    name = track_name(track)
    figure.add_scatter(x=x, y=y, mode="lines", line=line, name=escape(name), hoverinfo="skip", showlegend=False)


def track_name(track: Track) -> str:
    """What moves and which way, in words."""
    return say("video.track", shows=track.shows, goes=say(f"video.goes_{track.goes.replace(' ', '_')}"))
