"""Attention layers of a pass by kind: recorded calls, or weights alone where a family returns nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.attention.record import Record
from model.maps.given_weights import WeightsOnlyLayer
from model.trace.attention import Attention
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Tokens

KINDS = ("encoder", "decoder", "cross")
Layers = dict[str, list[list[RecordedLayer]]]  # kind -> sentence of the batch -> layer


def recorded_layers(record: Record, rows: int) -> Layers:
    """Recorded layers of each sentence of a batch. rows: number of sentences"""
    layers_by_kind: Layers = {}
    for kind, layer in sorted(record.calls):
        for row in range(rows):
            layers_by_kind.setdefault(kind, [[] for _ in range(rows)])[row].append(record.call(kind, layer, row))
    return {kind: layers_by_kind[kind] for kind in KINDS if kind in layers_by_kind}


def weights_only_layers(attentions: Mapping[str, Sequence[Tensor]], rows: int) -> Layers:
    """Layers of each sentence of a batch from weights alone.

    Args:
        attentions: kind -> weights of each layer, [batch, head, query, key].
        rows: number of sentences.
    """
    layers_by_kind: Layers = {
        kind: [[WeightsOnlyLayer(to_numpy(layer[row])) for layer in layers] for row in range(rows)]
        for kind, layers in attentions.items()
    }
    return {kind: layers_by_kind[kind] for kind in KINDS if kind in layers_by_kind}


def layer_indices(record: Record) -> dict[str, tuple[int, ...]]:
    """Kind -> which layer of the model each recorded layer is, as the calling modules say; 0, 1, 2 … where they do not.

    In hybrids only some layers have attention, and a module's `layer_idx` is its place among all of them.
    """
    indices: dict[str, list[int]] = {}
    for (kind, layer), call in sorted(record.calls.items()):
        indices.setdefault(kind, []).append(layer if call.layer_index is None else call.layer_index)
    return {kind: tuple(found) for kind, found in indices.items() if found == sorted(set(found))}


def build_attention(
    kind: str, layers: Sequence[RecordedLayer], tokens: Mapping[str, Tokens], layer_index: tuple[int, ...] = ()
) -> Attention:
    """One kind of attention of one sentence.

    Args:
        kind: "encoder", "decoder" or "cross"; layers: its layers; tokens: stack -> tokens.
        layer_index: which layer of the model each is; empty for all of them.
    """
    queries = tokens["encoder" if kind == "encoder" else "decoder"]
    keys = tokens["decoder" if kind == "decoder" else "encoder"]
    return Attention(kind, queries, keys, layers[0].shape[0], layers[0].shape[3], tuple(layers), layer_index)
