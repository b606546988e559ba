"""The nodes and weights of an ONNX file, read as protobuf messages; nothing is executed, no ONNX library is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from model.arrays.types import Array
from model.errors import ModelError

# Message -> field -> (number, type, whether it is a list): what is read here of onnx.proto3; the rest is skipped.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Tensor": {
        "dims": (1, "int64", True),
        "data_type": (2, "int32", False),
        "float_data": (4, "float", True),
        "int32_data": (5, "int32", True),
        "name": (8, "string", False),
        "raw_data": (9, "bytes", False),
        "data_location": (14, "int32", False),
    },
    "Node": {
        "input": (1, "string", True),
        "output": (2, "string", True),
        "name": (3, "string", False),
        "op_type": (4, "string", False),
    },
    "Graph": {"node": (1, ".Node", True), "initializer": (5, ".Tensor", True)},
    "Model": {"graph": (7, ".Graph", False)},
}
_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}  # TensorProto.DataType


@dataclass(frozen=True)
class Node:
    """One operation of a graph: its name, kind, and the names of its inputs and outputs."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(file: Path) -> tuple[list[Node], dict[str, Array]]:
    """The nodes of a model's graph in their order, and its weights by name.

    Raises:
        ModelError: the file cannot be read, or has weights of a kind or in a place that is not known ("changed").
    """
    from google.protobuf.message import DecodeError

    model = _model_class()()
    try:
        model.ParseFromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError("changed", f"{file.name} cannot be read as an ONNX file.") from error
    graph = model.graph
    nodes = [Node(node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in graph.node]
    return nodes, {tensor.name: _array(tensor, file.name) for tensor in graph.initializer}


def _array(tensor: Any, file: str) -> Array:
    """The numbers of one tensor in its own type, read-only."""
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None or tensor.data_location:
        raise ModelError("changed", f"{file} has weights in a form that is not known here: {tensor.name}.")
    if tensor.raw_data:
        flat = np.frombuffer(tensor.raw_data, dtype)
    else:
        flat = np.array(tensor.float_data if dtype == "<f4" else tensor.int32_data, dtype)
    return flat.reshape(tuple(tensor.dims))


@cache
def _model_class() -> Any:
    """The class of the message "Model", made from `_MESSAGES`."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="headlight/onnx.proto", package="headlight_onnx", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, is_list) in fields.items():
            label = kinds.LABEL_REPEATED if is_list else kinds.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if kind.startswith("."):
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".headlight_onnx{kind}"
            else:
                made.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("headlight_onnx.Model"))
