"""The verdict on a trace as a message: errors and parts as metadata, the maps of the independent run as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.trace.check import Check, Part


def to_message(check: Check) -> tuple[dict[str, Any], dict[str, Array]]:
    """Metadata of a verdict, and by kind the maps that pictures are compared with. [layer, head, row, column]"""
    verdict = dataclasses.asdict(dataclasses.replace(check, maps={}))
    del verdict["maps"]
    kinds = dict.fromkeys(kind for kind, _ in check.maps)
    return verdict, {kind: np.stack([one for (its, _), one in check.maps.items() if its == kind]) for kind in kinds}


def from_message(metadata: Mapping[str, Any], arrays: Mapping[str, Array]) -> Check:
    """The verdict of a message. arrays: kind -> maps, [layer, head, row, column]"""
    parts = tuple(Part(**part) for part in metadata["parts"])
    maps = {(kind, layer): one for kind, layers in arrays.items() for layer, one in enumerate(layers)}
    lists = {"parts": parts, "uncompared": tuple(metadata["uncompared"])}
    return Check(**(dict(metadata) | lists), maps=maps)
