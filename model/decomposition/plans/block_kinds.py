"""What a part of a layer computes: experts that it chooses, or a feed-forward layer for each token by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from model.decomposition.observation import ModuleCall, first_tensor
from model.decomposition.sums import is_close


def chosen_experts(call: ModuleCall) -> tuple[Tensor, Tensor] | None:
    """Ids and weights of the experts among a call's arguments or outputs, [token, chosen] each; None without."""
    tokens = None if call.x is None else len(call.x)
    outputs = call.outputs if isinstance(call.outputs, tuple) else ()
    for values in ((*call.arguments[0], *call.arguments[1].values()), outputs):
        ids = [one for one in values if isinstance(one, Tensor) and one.dtype == torch.int64 and one.dim() == 2]
        ids = [one for one in ids if len(one) == tokens]
        for chosen in ids:
            same = [one for one in values if isinstance(one, Tensor) and one.is_floating_point()]
            weights = next((one for one in same if one.shape == chosen.shape), None)
            if weights is not None:
                return chosen, weights
    return None


def is_position_wise(call: ModuleCall) -> bool:
    """Whether each token's output hangs on that token alone: the last token by itself gives the same."""
    args, kwargs = call.arguments
    given = first_tensor((*args, *kwargs.values()))
    if given is None or call.y is None or call.x is None or len(call.x) != len(call.y):
        return False
    if len(call.x) == 1:
        return True

    last = given.flatten(0, -2)[-1].view(*[1] * (given.dim() - 1), -1)

    def cut(value: object) -> object:
        return last if value is given else value

    try:
        with torch.inference_mode():
            output = call.module(*map(cut, args), **{name: cut(value) for name, value in kwargs.items()})
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    alone = first_tensor(output if isinstance(output, tuple) else (output,))
    # Kernels for one token round differently from those for many.
    return alone is not None and is_close(alone.float().reshape(1, -1), call.y[-1:], 1e-3)
