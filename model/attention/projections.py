"""The projection matrices W_Q, W_K, W_V and W_O of a layer, identified by what they compute instead of by name."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.attention.recorded_call import RecordedCall
from model.trace.layer_inputs import LayerInputs, MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map observed during a pass: y = x weight + bias, all float32."""

    name: str
    x: Tensor  # [token, in]
    y: Tensor  # [token, out]
    weight: Tensor  # [in, out]
    bias: Tensor  # [out]


def find_projections(
    module: nn.Module, run: Callable[[Any], object], row: int, recorded: RecordedLayer
) -> MultiHeadLayer | NotMultiHead:
    """The multi-head layer around a recorded attention call, with its projection matrices and their inputs.

    The model runs once more. The linear map whose output is the recorded q is W_Q, or a part of it where one map
    computes q, k and v; the one whose input is the concatenated head outputs is W_O.

    Args:
        module: the model.
        run: passes the same input through a copy of it.
        row: index of the sentence in the batch.
        recorded: the sentence's attention call.

    Returns:
        `NotMultiHead` with a reason where the layer is not the plain multi-head layer of Vaswani et al. 2017.
    """
    if not isinstance(recorded, RecordedCall):
        return NotMultiHead("unseen")
    projections = _observe_projections(module, run, row, recorded)
    w_o = to_numpy(projections["output"].weight) if "output" in projections else None
    if recorded.bias is not None and bool(recorded.bias.masked_fill(~recorded.allowed, 0).any()):
        return NotMultiHead("bias", w_o)
    query = projections.get("scaled_query", projections.get("query"))
    if query is None or recorded.factors or not {"key", "value", "output"} <= projections.keys():
        return NotMultiHead("between", w_o)
    key, value, output = projections["key"], projections["value"], projections["output"]
    if not _is_close(key.x, value.x):
        return NotMultiHead("between", w_o)
    num_heads, _, _, head_dim = recorded.shape
    square = (num_heads * head_dim, num_heads * head_dim)
    if any(one.weight.shape != square for one in (query, key, value, output)):
        return NotMultiHead("shape", w_o)
    factor = 1.0 if "scaled_query" in projections else _query_factor(recorded)
    return MultiHeadLayer(
        LayerInputs(
            query_input=to_numpy(query.x),
            key_input=to_numpy(key.x),
            w=to_numpy(torch.stack([query.weight * factor, key.weight, value.weight, output.weight])),
            b=to_numpy(torch.stack([query.bias * factor, key.bias, value.bias, output.bias])),
            num_heads=num_heads,
            mask=to_numpy(recorded.allowed),
        ),
        to_numpy(output.y),
        {"q": query.name, "k": key.name, "v": value.name, "o": output.name},
    )


def _observe_projections(
    module: nn.Module, run: Callable[[Any], object], row: int, recorded: RecordedCall
) -> dict[str, Projection]:
    """The linear maps found in one more pass, by role: "query", "scaled_query", "key", "value" and "output"."""
    targets = {name: _concatenate_heads(recorded.all_heads(name)) for name in ("query", "key", "value")}
    targets["scaled_query"] = targets["query"] * _query_factor(recorded)
    head_outputs = recorded.weights_tensor() @ recorded.all_heads("value").float()
    if recorded.factors:
        head_outputs *= torch.tensor(recorded.factors, device=head_outputs.device)[:, None, None]
    w_o_input = _concatenate_heads(head_outputs)
    projections: dict[str, Projection] = {}

    def make_hook(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            x = args[0] if args else None
            if not (isinstance(x, Tensor) and isinstance(output, Tensor) and x.dim() == output.dim() == 3):
                return
            x, y = x[row].float(), output[row].float()
            matches = {role: _find_columns(y, values) for role, values in targets.items()}
            matches["output"] = slice(0, y.shape[1]) if _is_close(x, w_o_input) else None
            for role, columns in matches.items():
                if columns is not None and role not in projections:
                    projection = _as_projection(name, part, x, y, columns)
                    if projection is not None:
                        projections[role] = projection

        return hook

    # Hooks go on a copy that shares all tensors: other threads may be running the model itself.
    copied = shallow_copy(module)
    for name, part in copied.named_modules():
        weight = getattr(part, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 2:
            part.register_forward_hook(make_hook(name))
    with torch.inference_mode():
        run(copied)
    return projections


def _query_factor(recorded: RecordedCall) -> float:
    """The recorded scale over 1 / √head_dim: 1 in most families; others scale q itself, or nothing at all."""
    return recorded.scale * math.sqrt(recorded.shape[3])


def _concatenate_heads(heads: Tensor) -> Tensor:
    """[head, token, head_dim] -> [token, head · head_dim]"""
    return heads.float().transpose(0, 1).flatten(1)


def _is_close(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and, up to rounding, the same numbers."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _find_columns(y: Tensor, target: Tensor) -> slice | None:
    """The columns of a module's output that hold the target's values: all, or a part; None where none do."""
    width = target.shape[1]
    starts = range(0, y.shape[1] - width + 1, width)
    # The first token tells most parts apart, of which an output head has a hundred.
    likely = (i for i in starts if _is_close(y[:1, i : i + width], target[:1]))
    return next((slice(i, i + width) for i in likely if _is_close(y[:, i : i + width], target)), None)


def _as_projection(name: str, part: Any, x: Tensor, y: Tensor, columns: slice) -> Projection | None:
    """Some columns of a module as y = x W + b; None where that is not what it computes.

    `nn.Linear` stores W transposed and GPT-2's `Conv1D` does not, so both are tried.
    """
    stored, bias = part.weight.float(), getattr(part, "bias", None)
    bias = y.new_zeros(y.shape[1]) if bias is None else bias.float()
    for weight in (stored.T, stored):
        if weight.shape == (x.shape[1], y.shape[1]) and _is_close(x @ weight + bias, y):
            whole = columns == slice(0, y.shape[1])
            name = name if whole else f"{name}[{columns.start}:{columns.stop}]"
            return Projection(name, x, y[:, columns], weight[:, columns], bias[columns])
    return None


def shallow_copy(module: nn.Module) -> Any:
    """A copy of a module that shares all its tensors, so that it can run differently without more memory."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)
