"""Find the matrices W_Q, W_K, W_V and W_O of a layer in any model, by what they compute instead of by their names."""

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
from model.trace.layer_inputs import Layer, LayerInputs, NoLayer
from model.trace.recorded_layer import RecordedLayer


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map that was seen at work: y = x weight + bias, all float32."""

    name: str
    x: Tensor  # [token, in]
    y: Tensor  # [token, out]
    weight: Tensor  # [in, out]
    bias: Tensor  # [out]


def find_layer(module: nn.Module, run: Callable[[Any], object], row: int, recorded: RecordedLayer) -> Layer | NoLayer:
    """The layer around a recorded attention call.

    The model runs once more. The linear map whose output is the recorded q is x W_Q, or the part of it where one map
    makes q, k and v at once; the one that is fed the heads' joined outputs is W_O.

    Args:
        module: the model; run: passes the same input through a copy of it.
        row: which sentence of the batch; recorded: its attention call.
    """
    if not isinstance(recorded, RecordedCall):
        return NoLayer("unseen")
    num_heads, _, _, head_dim = recorded.shape
    stretch = recorded.scale * math.sqrt(head_dim)  # 1 in most families; others scale q itself, or nothing at all
    wanted = {name: _joined(recorded.every(name)) for name in ("query", "key", "value")}
    wanted["stretched"] = wanted["query"] * stretch
    outputs = recorded.weights_tensor() @ recorded.every("value").float()
    if recorded.factors:
        outputs *= torch.tensor(recorded.factors, device=outputs.device)[:, None, None]
    mixed = _joined(outputs)
    found: dict[str, Projection] = {}

    def watch(name: str) -> Callable[..., None]:
        def look(part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            x = args[0] if args else None
            if not (isinstance(x, Tensor) and isinstance(output, Tensor) and x.dim() == output.dim() == 3):
                return
            x, y = x[row].float(), output[row].float()
            matches = {what: _columns(y, values) for what, values in wanted.items()}
            matches["output"] = slice(0, y.shape[1]) if _equal(x, mixed) else None
            for what, columns in matches.items():
                if columns is not None and what not in found:
                    seen = _linear(name, part, x, y, columns)
                    if seen is not None:
                        found[what] = seen

        return look

    # Hooks go on a copy that shares all tensors: other threads may be running the model itself.
    copied = shallow_copy(module)
    for name, part in copied.named_modules():
        weight = getattr(part, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 2:
            part.register_forward_hook(watch(name))
    with torch.inference_mode():
        run(copied)
    query = found.get("stretched", found.get("query"))
    w_o = to_numpy(found["output"].weight) if "output" in found else None
    if recorded.bias is not None and bool(recorded.bias.masked_fill(~recorded.allowed, 0).any()):
        return NoLayer("bias", w_o)
    if query is None or recorded.factors or not {"key", "value", "output"} <= found.keys():
        return NoLayer("between", w_o)
    key, value, last = found["key"], found["value"], found["output"]
    if not _equal(key.x, value.x):
        return NoLayer("between", w_o)
    square = (num_heads * head_dim, num_heads * head_dim)
    if any(one.weight.shape != square for one in (query, key, value, last)):
        return NoLayer("shape", w_o)
    factor = 1.0 if "stretched" in found else stretch
    return Layer(
        LayerInputs(
            asking=to_numpy(query.x),
            asked=to_numpy(key.x),
            w=to_numpy(torch.stack([query.weight * factor, key.weight, value.weight, last.weight])),
            b=to_numpy(torch.stack([query.bias * factor, key.bias, value.bias, last.bias])),
            num_heads=num_heads,
            mask=to_numpy(recorded.allowed),
        ),
        to_numpy(last.y),
        {"q": query.name, "k": key.name, "v": value.name, "o": last.name},
    )


def _joined(heads: Tensor) -> Tensor:
    """[head, token, head_dim] -> [token, head · head_dim]"""
    return heads.float().transpose(0, 1).flatten(1)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _columns(y: Tensor, wanted: Tensor) -> slice | None:
    """Where in a module's output the wanted values stand: everywhere, or in a part of the columns."""
    width = wanted.shape[1]
    starts = range(0, y.shape[1] - width + 1, width)
    return next((slice(i, i + width) for i in starts if _equal(y[:, i : i + width], wanted)), None)


def _linear(name: str, part: Any, x: Tensor, y: Tensor, columns: slice) -> Projection | None:
    """Some columns of a module as y = x W + b, if that is what it computes.

    `nn.Linear` keeps W transposed and GPT-2's `Conv1D` does not, so what fits decides.
    """
    kept, added = part.weight.float(), getattr(part, "bias", None)
    bias = y.new_zeros(y.shape[1]) if added is None else added.float()
    for weight in (kept.T, kept):
        if weight.shape == (x.shape[1], y.shape[1]) and _equal(x @ weight + bias, y):
            whole = columns == slice(0, y.shape[1])
            name = name if whole else f"{name}[{columns.start}:{columns.stop}]"
            return Projection(name, x, y[:, columns], weight[:, columns], bias[columns])
    return None


def shallow_copy(module: nn.Module) -> Any:
    """A copy of a model that shares all its tensors, so that it can run differently without more memory."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)
