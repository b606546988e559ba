"""Where the tiles of all heads lie in one picture, and the numbers of their layers and heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz.figures.grid import SCREEN_HEIGHT

MOSAIC_MARGIN = {"l": 44, "r": 8, "t": 44, "b": 44}  # pixels; the placeholder of the figure needs the same
MOSAIC_WIDTH, MAX_TILE = 410, 92  # pixels of the tiles in a window 1280 wide, and of one tile
MAX_BANDS = 3  # of layers beside each other


@dataclass(frozen=True)
class TileLayout:
    """Where the tiles of all heads lie: layers down and heads across, in bands beside each other, or layers across.

    Attributes:
        places: column and row of each tile, layer by layer. [layer · head, 2]
        columns, rows: of the whole; a column is left free between two bands.
        bands: of layers, beside each other; 1 where layers go across.
        transposed: whether layers go across.
    """

    places: np.ndarray
    columns: int
    rows: int
    bands: int
    transposed: bool

    @property
    def tile(self) -> float:
        """Pixels of a tile in a window 1280 wide."""
        room = SCREEN_HEIGHT - MOSAIC_MARGIN["t"] - MOSAIC_MARGIN["b"]
        return min(MOSAIC_WIDTH / self.columns, room / self.rows, MAX_TILE)


def tile_layout(layers: int, heads: int) -> TileLayout:
    """The layout in which the tiles of so many layers and heads are largest."""
    layer, head = (part.ravel() for part in np.mgrid[:layers, :heads])
    found = [TileLayout(np.stack([layer, head], 1), layers, heads, 1, True)]
    for bands in range(1, MAX_BANDS + 1):
        depth = -(-layers // bands)
        places = np.stack([layer // depth * (heads + 1) + head, layer % depth], 1)
        found.append(TileLayout(places, bands * (heads + 1) - 1, depth, bands, False))
    return max(found, key=lambda one: (round(one.tile), not one.transposed, -one.bands))


def tick_numbers(names: Sequence[int], bands: int = 1) -> dict[str, object]:
    """Ticks that number tiles, thinned where they would touch. names: the number of each; bands: that repeat them"""
    step = 1 if len(names) * bands <= 20 else 2 if len(names) * bands <= 24 else 5
    ticks = [(band * (len(names) + 1) + i, names[i]) for band in range(bands) for i in range(0, len(names), step)]
    places, texts = [place for place, _ in ticks], [str(name) for _, name in ticks]
    return {"tickmode": "array", "tickvals": places, "ticktext": texts, "tickangle": 0}


def band_numbers(tiles: TileLayout, names: Sequence[int], heads: int) -> list[dict[str, object]]:
    """Trace of the numbers of the layers of all bands but the first, which the axis numbers; none for one band.

    Args:
        names: the number of each layer. heads: of a layer.
    """
    if tiles.bands == 1:
        return []
    step = 1 if tiles.rows <= 20 else 5
    shown = [layer for layer in range(tiles.rows, len(names)) if layer % tiles.rows % step == 0]
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": [int(tiles.places[layer * heads, 0]) - 1 for layer in shown],
        "y": [int(tiles.places[layer * heads, 1]) for layer in shown],
        "text": [str(names[layer]) for layer in shown],
        "textfont": {"size": 12},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [numbers]
