"""Figures that compare heads of one run: selected heads, similarity, scatter plot, shares of input tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from model.maps.pooling import capped_shape
from model.trace.attention import Attention
from viz.figures.grid import axis_ticks, grid
from viz.figures.heads import THUMBNAIL_PIXELS, png_uri, resize
from viz.figures.linking import focus_rows
from viz.figures.theme import TITLE_ROOM, Palette, base_figure, escape, rgba_colours, unvalidated_figure
from viz.figures.tiles import MAX_TILE
from viz.language.messages import say

TILE_PIXELS = 168  # width of a head's map in the mosaic of selected heads
TILE_GAP, TILE_ABOVE = 12, 44  # pixels between maps of that mosaic, and above each for its title
PICKER_WIDTH, PICKER_HEIGHT = 370, 480  # pixels of the tiles that A and B are picked from, in a window 1280 wide
MORE_HEIGHT = 460  # pixels of a figure below the maps


def picker_mosaic(mosaic: go.Figure, wide: int = PICKER_WIDTH) -> go.Figure:
    """The mosaic of all heads for a narrower column; the browser boxes the heads of A and B.

    Args:
        mosaic: from `viz.figures.heads.head_mosaic`.
        wide: pixels of the column.
    """
    layout = dict(mosaic._layout)
    (left, right), (down, up) = (layout[f"{axis}axis"]["range"] for axis in "xy")
    margin = layout["margin"]
    around = margin["t"] + margin["b"]
    room = (PICKER_HEIGHT + TITLE_ROOM - around) / (down - up)
    tile = min((wide - margin["l"] - margin["r"]) / (right - left), room, MAX_TILE)
    layout["height"] = round(tile * (down - up)) + around
    return unvalidated_figure(mosaic._data, layout)


def selected_heads_mosaic(
    attention: Attention, heads: Sequence[tuple[int, int]], palette: Palette, across: int = 4
) -> go.Figure:
    """Heat maps of some heads side by side in one image, on one scale from 0 to 100 %; a click reports [layer, head].

    Args:
        attention: one kind of attention of a trace.
        heads: (layer, head) of each map.
        palette: colours of the page.
        across: maps in a row.
    """
    across = min(across, len(heads))
    down = -(-len(heads) // across)
    sides = range(len(attention.queries)), range(len(attention.keys))
    picture = np.zeros((down * (TILE_PIXELS + TILE_ABOVE), across * (TILE_PIXELS + TILE_GAP), 4), np.uint8)
    figure = base_figure(
        say("compare.wall_title", kind=say(f"kinds.{attention.kind}")), palette, height=90 + 210 * down
    )
    for number, (layer, head) in enumerate(heads):
        row, column = divmod(number, across)
        small = attention.pooled(layer, head, *sides, capped_shape((len(sides[0]), len(sides[1])), TILE_PIXELS))
        tile = rgba_colours(resize(small, TILE_PIXELS), palette.sequential)
        top, left = tile_corner(row, column)
        picture[top : top + TILE_PIXELS, left : left + TILE_PIXELS] = tile
        figure.add_annotation(
            x=column,
            y=row - 0.5,
            # In two lines: four titles fit side by side on a phone.
            text=say("compare.tile", layer=attention.layer_index[layer], head=head).replace(", ", "<br>"),
            showarrow=False,
            yanchor="top",
        )
    figure.add_layout_image(
        source=png_uri(picture),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=across,
        sizey=down,
        sizing="stretch",
        layer="below",
    )
    _clickable(
        figure,
        [(n % across, n // across) for n in range(len(heads))],
        heads,
        [say("compare.tile", layer=attention.layer_index[layer], head=head) for layer, head in heads],
    )
    bare = {"visible": False, "fixedrange": True}
    figure.update_layout(xaxis={"range": [-0.5, across - 0.5], **bare}, yaxis={"range": [down - 0.5, -0.5], **bare})
    return figure


def tile_corner(row: int, column: int) -> tuple[int, int]:
    """The first row and the first column of pixels of a map in the mosaic of selected heads."""
    return row * (TILE_PIXELS + TILE_ABOVE) + TILE_ABOVE - 4, column * (TILE_PIXELS + TILE_GAP) + TILE_GAP // 2


def head_similarity_heatmap(
    values: np.ndarray, selected: tuple[int, int], palette: Palette, layers: Sequence[int] = ()
) -> go.Figure:
    """Heat map of the similarity of each head to one head, layers down, heads across; a click reports [layer, head].

    Args:
        values: [layer, head]
        selected: (layer, head) that all are compared with.
        palette: colours of the page.
        layers: which layer of the model each row is; 0, 1, 2 … by default.
    """
    layers = layers or range(len(values))
    figure = grid(
        values,
        rows=[str(layer) for layer in layers],
        columns=[str(i) for i in range(values.shape[1])],
        title=say("compare.similar_title", layer=layers[selected[0]], head=selected[1]),
        row_title=say("heads.layer_axis"),
        column_title=say("heads.head_axis"),
        unit=say("compare.similarity"),
        hover=say("compare.similar_hover"),
        palette=palette,
        limits=(float(values.min()), 1.0),
    )
    figure.layout.height = min(figure.layout.height, MORE_HEIGHT)
    cells = [(layer, head) for layer, head in np.ndindex(values.shape)]
    _clickable(
        figure,
        [(head, layer) for layer, head in cells],
        cells,
        [say("compare.similar_cell", layer=layers[i], head=h, value=f"{values[i, h]:.2f}") for i, h in cells],
    )
    return figure


def head_scatter(
    points: np.ndarray, explained: float, selected: tuple[int, int], palette: Palette, names: Sequence[int] = ()
) -> go.Figure:
    """Scatter plot of all heads, heads with similar maps near each other; a click reports [layer, head].

    Args:
        points: coordinates. [layer, head, 2]
        explained: share of the variance that the two dimensions keep, for the title.
        selected: (layer, head) that is highlighted.
        palette: colours of the page.
        names: which layer of the model each layer is; 0, 1, 2 … by default.
    """
    figure = base_figure(say("compare.map_title", kept=f"{explained:.0%}"), palette, height=MORE_HEIGHT)
    layers, names = len(points), names or range(len(points))
    for layer, heads in enumerate(points):
        is_selected = np.array([(layer, head) == selected for head in range(len(heads))])
        red, green, blue, _ = rgba_colours(np.array(0.15 + 0.85 * layer / max(layers - 1, 1)), palette.sequential)
        figure.add_scatter(
            x=heads[:, 0].astype(np.float32),
            y=heads[:, 1].astype(np.float32),
            mode="markers+text" if layers * len(heads) <= 80 else "markers",
            text=[f"{names[layer]}/{head}" for head in range(len(heads))],
            textposition="top center",
            textfont={"size": 10},
            customdata=[[layer, head] for head in range(len(heads))],
            hovertext=[str(names[layer])] * len(heads),
            marker={
                "size": np.where(is_selected, 16, 10),
                "color": f"rgb({red},{green},{blue})",
                "line": {
                    "color": np.where(is_selected, palette.second, palette.forbidden),
                    "width": np.where(is_selected, 3, 1),
                },
            },
            hovertemplate=say("compare.map_hover") + "<extra></extra>",
            name=say("layers.layer", layer=names[layer]),
            showlegend=False,
        )
    figure.update_layout(
        xaxis={"title": say("layers.first_axis"), "zeroline": False},
        yaxis={"title": say("layers.second_axis"), "zeroline": False},
    )
    return figure


def share_bars(
    shares: Mapping[str, np.ndarray], labels: Sequence[str], palette: Palette, stack: str | None = None
) -> go.Figure:
    """Bar chart of how much each input token contributes to one token, by several measures side by side.

    Args:
        shares: of each measure, by its name in the section "compare" of the interface's words. name -> [input token]
        labels: of the input tokens.
        palette: colours of the page.
        stack: of the input tokens.
    """
    figure = base_figure(say("compare.through_title"), palette, height=380)
    for number, (name, values) in enumerate(shares.items()):
        figure.add_bar(
            x=np.arange(len(values)),
            y=values.astype(np.float32),
            marker={"color": palette.lines[number]},
            name=say(f"compare.{name}"),
            text=[escape(label) for label in labels],
            textposition="none",
            hovertemplate=say("compare.through_hover") + "<extra></extra>",
        )
    figure.update_layout(
        xaxis={"tickangle": -60, "showgrid": False, "zeroline": False, **axis_ticks(labels)},
        yaxis={"tickformat": ".0%", "title": say("compare.share")},
        barmode="group",
        showlegend=True,
    )
    if stack:
        figure.layout.meta = {"focus": focus_rows((stack, range(len(labels))), "x")}
    return figure


def _clickable(
    figure: go.Figure, places: Sequence[tuple[int, int]], heads: Sequence[tuple[int, int]], texts: Sequence[str]
) -> None:
    """Add invisible square markers that report clicks as [layer, head]: Plotly reports none on images and heat maps."""
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        customdata=[list(head) for head in heads],
        text=list(texts),
        mode="markers",
        marker={"symbol": "square", "size": THUMBNAIL_PIXELS // 2, "color": "rgba(0,0,0,0)"},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
