"""A layer of which the weights alone are known, as some families return them or as somebody else computed them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.trace.attention import Attention


@dataclass(frozen=True, eq=False)
class WeightsOnlyLayer(LayerMaps):
    """One layer of which the weights alone are known. Its mask forbids the keys whose weight is 0 in every head."""

    given_weights: Array  # [head, query, key]
    scale: float = float("nan")
    softcap: float | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.given_weights.shape, 0)

    def array(self, name: str) -> Array:
        if name == "allowed":
            return np.asarray((self.given_weights > 0).any(axis=0))
        raise ValueError(f"This model family does not show its {name} vectors, only its attention weights.")

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("This model family does not show its scores, only its attention weights.")

    def weights(self) -> Array:
        return self.given_weights


Attention.layer_of_weights = WeightsOnlyLayer
