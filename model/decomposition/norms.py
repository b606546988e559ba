"""Normalization layers found by what they compute: the same output for a state and for twice that state.

Edits leave a norm out of a pass, or its gain and shift; a norm in a pass is read as it computed there.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.attention.edit_plan import current_edit_plan
from model.decomposition.observation import ModuleCall
from model.decomposition.sums import is_close
from model.trace.boxes.stack import Norm


def is_norm(call: ModuleCall) -> bool:
    """Whether a call normalized its input: a token at a time, and whatever the input's size."""
    if call.x is None or call.y is None or call.x.shape != call.y.shape or not (args := call.arguments[0]):
        return False
    given = args[0]
    if len(args) > 1 or call.arguments[1] or not isinstance(given, Tensor):
        return False
    width = call.x.shape[-1]  # a gain and a shift have as many numbers, a matrix has more
    if any(True for _ in call.module.children()) or any(one.numel() > width for one in call.module.parameters()):
        return False
    if is_close(call.x, call.y):
        return False
    with torch.inference_mode():
        large, larger = call.module(1024 * given), call.module(4096 * given)
    # Steep activations do not change either, so the formula has to fit as well.
    same = isinstance(large, Tensor) and is_close(larger.float(), large.float(), 0.05)
    return same and measure_norm(call.module, call.x) is not None


def measure_norm(module: nn.Module, example: Tensor) -> Norm | None:
    """The numbers that a normalization layer computes with, from its answers to a few states.

    Args:
        example: states of the sizes that it meets. [token, d_model]

    Returns:
        None where gain · (x - mean) / rms + shift is not what it computes.
    """
    norm, (real,) = _read_norm(module, example, example)
    tolerance = 1e-4 if _weight(module, example).dtype == torch.float32 else 0.02
    size = np.abs(real.numpy()).max(-1, keepdims=True)
    return norm if bool((np.abs(norm(to_numpy(example)) - real.numpy()) <= tolerance * size).all()) else None


def read_norm(module: nn.Module, example: Tensor) -> Norm:
    """As `measure_norm`, of a layer that is known to compute that."""
    return _read_norm(module, example)[0]


def norm_in_pass(call: ModuleCall, known: Norm | None = None) -> Norm:
    """The norm that a call of a normalization layer computed with, after the edits of the pass that is running.

    Args:
        known: what it computes with in a pass without edits; None if nobody has read that.
    """
    assert call.x is not None
    return norm_of_call(call) if current_edit_plan() is not None else known or read_norm(call.module, call.x)


def norm_of_call(call: ModuleCall) -> Norm:
    """As `norm_in_pass`, whether the pass had edits or not, and also when it is over."""
    assert call.x is not None
    norm, (real,) = _read_norm(call.module, call.x, call.x)
    if is_close(call.y, real.to(call.x), 1e-4):
        return norm
    return without_gain(norm, scaled=not is_close(call.y, call.x))


def without_gain(norm: Norm, *, scaled: bool = True) -> Norm:
    """A norm without its gain and shift. scaled: False where it does not normalize either"""
    plain = np.ones_like(norm.gain), np.zeros_like(norm.shift)
    return Norm(*plain, norm.centred and scaled, norm.epsilon, scaled)


def normalized(module: nn.Module, states: Tensor) -> Tensor:
    """What a normalization layer makes of states without its gain and shift. [..., d_model]"""
    norm, given = read_norm(module, states.flatten(0, -2)[:1].float()), states.float()
    centred = given - given.mean(-1, keepdim=True) if norm.centred else given
    return (centred * (centred.pow(2).mean(-1, keepdim=True) + norm.epsilon).rsqrt()).to(states.dtype)


def stock_norm(module: nn.Module) -> nn.Module:
    """PyTorch's own normalization layer that computes what another one does without its gain and shift."""
    width = next(module.parameters()).shape[-1]
    norm = read_norm(module, torch.zeros(1, width))
    made = nn.LayerNorm if norm.centred else nn.RMSNorm
    return made(width, norm.epsilon, elementwise_affine=False)


def _weight(module: nn.Module, example: Tensor) -> Tensor:
    """A tensor of the module, which has its device and number format."""
    tensors = (*module.parameters(), *module.buffers())
    return next((tensor for tensor in tensors if tensor.is_floating_point()), example)


def _read_norm(module: nn.Module, example: Tensor, *more: Tensor) -> tuple[Norm, tuple[Tensor, ...]]:
    """The numbers of a normalization layer, and its answers to more states. example: as in `measure_norm`"""
    weight, width = _weight(module, example), example.shape[-1]

    def ask(*states: Tensor) -> tuple[Tensor, ...]:
        given = torch.cat([one.to(device=weight.device, dtype=weight.dtype) for one in states])
        with torch.inference_mode():
            answer: Tensor = module.forward(given[None])[0]  # without the hooks of who watches the pass
        return answer.double().cpu().split([len(one) for one in states])

    large = _waves(width)
    zero, answers, moved = ask(torch.zeros(1, width), large, large + 50_000)
    shift = zero[0]
    answers = answers - shift
    centred = bool((moved - shift - answers).abs().max() < 0.01 * answers.abs().max())
    kept = large - large.mean(-1, keepdim=True) if centred else large
    unit = kept / kept.pow(2).mean(-1, keepdim=True).sqrt()
    gain = (answers * unit).sum(0) / unit.pow(2).sum(0)
    small = 1e-9 * kept
    tiny, *rest = ask(small, *more)
    epsilon = _epsilon(small, tiny - shift, gain)
    return Norm(to_numpy(gain.float()), to_numpy(shift.float()), centred, epsilon), tuple(rest)


@cache
def _waves(width: int) -> Tensor:
    """Eight large states, any that differ. float64 [8, width]"""
    return 1000 * torch.arange(1, 8 * width + 1).double().pow(2).sin().view(8, width)


def _epsilon(states: Tensor, answers: Tensor, gain: Tensor) -> float:
    """The number added to the mean square, which states as small as it tell.

    Args:
        states: already centred; answers: without the shift. [state, d_model] each
    """
    factors = (answers * states * gain).sum(-1) / (states * gain).pow(2).sum(-1)
    return max((1 / factors.pow(2) - states.pow(2).mean(-1)).median().item(), 0.0)
