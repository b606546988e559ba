"""Feed-forward neurons as the library's own pass computes them: what goes into the last matrix of each layer.

How the trace finds them is not asked: of a layer's matrices that put out vectors of the stream, outside what attended,
the last is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from model.decomposition.observation import find_layers, first_tensor

MatrixCall = tuple[frozenset[int], Tensor, int]  # ids of the modules around a matrix, its input, its output's width
# Receives the stack, the row among the trace's neurons, and the neurons. [batch, token, d_ff] or [batch · token, d_ff]
OnNeurons = Callable[[str, int, Tensor], None]


@dataclass(frozen=True)
class NeuronRows:
    """Which neurons of a stack a trace has.

    Attributes:
        width: of a layer, d_ff.
        rows: run of a layer, counted from 0 -> its row among the neurons.
    """

    width: int
    rows: Mapping[int, int]


def capture_neurons(stack: nn.Module, name: str, wanted: NeuronRows, attended: set[int], on_neurons: OnNeurons) -> None:
    """Hook a copy of a stack, so that each run of its layers hands over its neurons.

    Args:
        name: "encoder" or "decoder"; wanted: the layers and their width.
        attended: ids of the modules that called attention so far; filled during the pass.
    """
    layers = find_layers(stack)
    runs = iter(range(1_000_000))
    for layer in {id(one): one for one in layers}.values():
        found: list[MatrixCall] = []
        for path, part in layer.named_modules():
            weight = getattr(part, "weight", None)
            if isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(part, nn.Embedding):
                part.register_forward_hook(_keep_input(found, _modules_around(layer, path)), with_kwargs=True)
        layer.register_forward_pre_hook(lambda *_, found=found: found.clear())
        layer.register_forward_hook(_hand_over(found, name, wanted, attended, on_neurons, runs))


def _modules_around(layer: nn.Module, path: str) -> frozenset[int]:
    """Ids of a part of a layer and of the parts that hold it."""
    names = path.split(".")
    return frozenset(id(layer.get_submodule(".".join(names[: count + 1]))) for count in range(len(names)))


def _keep_input(found: list[MatrixCall], around: frozenset[int]) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        x = first_tensor((*args, *kwargs.values()))
        if x is not None and isinstance(output, Tensor):
            found.append((around, x, output.shape[-1]))

    return hook


def _hand_over(
    found: list[MatrixCall],
    name: str,
    wanted: NeuronRows,
    attended: set[int],
    on_neurons: OnNeurons,
    runs: Any,
) -> Callable[..., None]:
    def hook(_: nn.Module, __: Any, output: Any) -> None:
        row = wanted.rows.get(next(runs))
        states = first_tensor(output if isinstance(output, tuple) else (output,))
        if row is None or states is None:
            return
        rows = states.shape[:-1].numel()
        for around, x, width in reversed(found):
            whole = x.shape[:-1].numel() == rows  # a matrix for other inputs than words reads none of the tokens
            if whole and width == states.shape[-1] and x.shape[-1] == wanted.width and not around & attended:
                on_neurons(name, row, x)
                break
        found.clear()

    return hook
