"""What a pass is taken apart into, as a message: blocks of a stack or the summaries of all, credit, a match split."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.remote.remote_layer import Request
from model.remote.request_fields import APART
from model.trace.boxes.decomposition import Credit, Source, Split
from model.trace.boxes.stack import Block, Norm, Stack, StackLayer
from model.trace.boxes.stack_summary import BlockSummary, StackSummaries, StackSummary

# All that a message may hold; each is written as its name and its fields in their order.
WRITTEN = (Block, BlockSummary, Credit, Norm, Source, Split, Stack, StackLayer, StackSummaries, StackSummary)
CLASSES: dict[str, Any] = {one.__name__: one for one in WRITTEN}


def ask(request: Request, want: str, *arguments: Any) -> Any:
    """What the server takes a pass apart into: "blocks", "summaries", "neurons", "credit" or "why".

    Args:
        request: sends a request for the run; arguments: of the method of `Trace`.

    Raises:
        InputError: the server's reason, or there are no neurons ("no_blocks").
    """
    if want == "neurons":
        neurons = request(want, stack=arguments[0])[1].get("")
        if neurons is None:
            raise InputError("no_blocks", "This stack has no feed-forward layers that can be watched.")
        return neurons
    return from_message(*request(want, **dict(zip(APART[want], arguments, strict=True))))


def to_message(found: Stack | StackSummaries | Credit | Split) -> tuple[dict[str, Any], dict[str, Array]]:
    """Metadata and arrays of a message. All arrays are one of bytes: a stack has more than a message may have parts."""
    parts: list[Array] = []
    meta = {"found": _written(found, parts)}
    return meta, {"": np.concatenate([part.ravel().view(np.uint8) for part in parts])}


def from_message(meta: dict[str, Any], arrays: dict[str, Array]) -> Any:
    """What `to_message` wrote; its arrays are views of the message.

    Raises:
        ValueError: the message holds something else.
    """
    return _read(meta["found"], arrays[""], [0])


def _written(value: Any, parts: list[Array]) -> Any:
    """A value as JSON can hold it; its arrays go to `parts`."""
    if isinstance(value, np.ndarray):
        parts.append(np.ascontiguousarray(value))
        return {"array": [value.dtype.str, *value.shape]}
    if dataclasses.is_dataclass(value):
        fields = [_written(getattr(value, field.name), parts) for field in dataclasses.fields(value)]
        return {type(value).__name__: fields}
    if isinstance(value, tuple):
        return [_written(one, parts) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _read(value: Any, content: Array, place: list[int]) -> Any:
    """A value out of JSON. content: the bytes of all arrays; place: where the next one begins"""
    if isinstance(value, list):
        return tuple(_read(one, content, place) for one in value)
    if not isinstance(value, dict):
        return value
    ((name, fields),) = value.items()
    if name != "array":
        if name not in CLASSES:
            raise ValueError(f"a message with {name[:100]!r}")
        return CLASSES[name](*(_read(one, content, place) for one in fields))
    dtype, shape = np.dtype(fields[0]), fields[1:]
    if dtype.kind not in "biuf":
        raise ValueError("no numbers")
    start, place[0] = place[0], place[0] + dtype.itemsize * int(np.prod(shape))
    return content[start : place[0]].copy().view(dtype).reshape(shape)
