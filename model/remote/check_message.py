"""The verdict on a trace as a message: errors and parts as metadata, the maps of the independent run as arrays.

The verdict on a probe is on what the server measured; that the same arrived at the app, their checksums say.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.trace.check import Check, Part, Probe
from model.trace.trace import Trace

# Asks for what can be measured of a model, "logit_lens", "effects" or "guess", with the fields of such a request.
Measure = Callable[[str, Mapping[str, Any]], tuple[Mapping[str, Any], Mapping[str, Array]]]


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


def ask(request: Callable[..., Any], _: Trace, probe: Probe | None = None) -> Check:
    """The server's verdict on a run of its own, or on a probe of it that has to be the one that is held here."""
    if probe is None:
        return from_message(*request("check"))
    message, _ = request("probe", names=list(probe.names), position=probe.guess[0] if probe.guess else 0)
    check = from_message(message["check"], {})
    changed = [name for name in probe.names if message["checksums"].get(name) != checksums(probe)[name]]
    return dataclasses.replace(check, parts=(*check.parts, *(Part(name, 1.0, 0.0, "message") for name in changed)))


def verdict_on_probe(trace: Trace, names: list[str], position: int, measure: Measure) -> dict[str, Any]:
    """The message about what the server measured of a run.

    Args:
        names: of the parts of a check; position: of the token that is masked for "guess".
    """
    stack = list(trace.tokens)[-1]
    forced = trace.ids[stack][trace.prompt_length :] if stack == "decoder" else None
    measured: dict[str, Any] = {}
    if "lens" in names:
        _, found = measure("logit_lens", {"target": forced})
        measured["lens"] = (found["ids"], found["chances"]) if found else None
    if "effects" in names:
        meta, effects = measure("effects", {"target": forced})
        measured |= {"effects": effects, "in_bits": bool(meta["words"])}
    if "neurons" in names:
        measured["neurons"] = dict(trace.neurons)
    if "guess" in names:
        _, found = measure("guess", {"position": position})
        measured["guess"] = (position, found["logits"]) if found else None
    probe = Probe(**measured)
    return {"check": to_message(trace.verify_probe(probe))[0], "checksums": checksums(probe)}


def checksums(probe: Probe) -> dict[str, str]:
    """Name of each part of a probe -> SHA-256 of its numbers."""
    arrays = {
        "lens": list(probe.lens or ()),
        "effects": _in_order(probe.effects),
        "neurons": _in_order(probe.neurons),
        "guess": [] if probe.guess is None else [probe.guess[1]],
    }
    return {name: hashlib.sha256(b"".join(map(_content, arrays[name]))).hexdigest() for name in probe.names}


def _in_order(arrays: Mapping[str, Array] | None) -> list[Array]:
    return [array for _, array in sorted((arrays or {}).items())]


def _content(array: Array) -> bytes:
    return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
