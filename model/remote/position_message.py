"""A `PositionScheme` as metadata and named arrays of a message, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.arrays.types import Array
from model.positions.scheme import PositionScheme, Rotation

ARRAYS = ("table", "bias", "layer_biases", "distances")


def to_message(scheme: PositionScheme) -> tuple[dict[str, Any], dict[str, Array]]:
    """The metadata and the arrays of a scheme."""
    arrays = {name: getattr(scheme, name) for name in ARRAYS if getattr(scheme, name) is not None}
    for number, rotation in enumerate(scheme.rotations):
        arrays[f"frequencies.{number}"] = rotation.frequencies
        if rotation.pairs is not None:
            arrays[f"pairs.{number}"] = rotation.pairs
    layers = [list(rotation.layers) for rotation in scheme.rotations]
    meta = {"kind": scheme.kind, "first_row": scheme.first_row, "unrotated": list(scheme.unrotated), "layers": layers}
    return meta | {"error": scheme.error}, arrays


def from_message(meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> PositionScheme:
    """The scheme that `to_message` took apart."""
    rotations = tuple(
        Rotation(arrays[f"frequencies.{number}"], arrays.get(f"pairs.{number}"), tuple(layers))
        for number, layers in enumerate(meta["layers"])
    )
    kept = {name: arrays.get(name) for name in ARRAYS}
    unrotated = tuple(meta["unrotated"])
    known = {"rotations": rotations, "unrotated": unrotated, "error": meta.get("error")}
    fields: dict[str, Any] = {"first_row": meta["first_row"]} | known | kept
    return PositionScheme(meta["kind"], **fields)
