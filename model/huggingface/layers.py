"""The attention layers of a pass by kind: recorded calls, or weights alone where a family shows nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.record import Record
from model.maps.layer_maps import LayerMaps
from model.trace.attention import Attention
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Tokens

KINDS = ("encoder", "decoder", "cross")
Layers = dict[str, list[list[RecordedLayer]]]  # kind -> sentence of the batch -> layer


def recorded_layers(record: Record, rows: int) -> Layers:
    """Layers of each sentence of a batch, from what the attention calls of a pass recorded."""
    found: Layers = {}
    for kind, layer in sorted(record.calls):
        for row in range(rows):
            found.setdefault(kind, [[] for _ in range(rows)])[row].append(record.call(kind, layer, row))
    return {kind: found[kind] for kind in KINDS if kind in found}


def weights_only_layers(attentions: Mapping[str, Sequence[Tensor]], rows: int) -> Layers:
    """Layers of each sentence of a batch, from weights alone. attentions: kind -> [batch, head, query, key] a layer"""
    found: Layers = {
        kind: [[WeightsOnlyLayer(to_numpy(layer[row])) for layer in layers] for row in range(rows)]
        for kind, layers in attentions.items()
    }
    return {kind: found[kind] for kind in KINDS if kind in found}


def attention_of(kind: str, layers: Sequence[RecordedLayer], tokens: Mapping[str, Tokens]) -> Attention:
    """One kind of attention of one sentence. tokens: those of each stack"""
    queries = tokens["encoder" if kind == "encoder" else "decoder"]
    keys = tokens["decoder" if kind == "decoder" else "encoder"]
    return Attention(kind, queries, keys, layers[0].shape[0], layers[0].shape[3], tuple(layers))


@dataclass(frozen=True, eq=False)
class WeightsOnlyLayer(LayerMaps):
    """One layer of a family that shows its weights only. The mask is read off them: exactly zero is forbidden."""

    seen: Array  # [head, query, key]
    scale: float = float("nan")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.seen.shape, 0)

    def array(self, name: str) -> Array:
        if name == "allowed":
            return np.asarray((self.seen > 0).any(axis=0))
        raise ValueError(f"This model family does not show its {name} vectors, only its attention weights.")

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("This model family does not show its scores, only its attention weights.")

    def weights(self) -> Array:
        return self.seen
