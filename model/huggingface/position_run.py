"""Test passes that show what a Hugging Face model does with positions: one token, over and over.

Equal tokens have equal embeddings, so whatever differs from place to place comes from their positions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.projections import shallow_copy
from model.attention.record import Record, record
from model.huggingface.opened_model import OpenedModel, forward_inputs, stack_names
from model.huggingface.recording.detection import residual_stream
from model.huggingface.recording.layers import Layers

REACH = 32  # largest distance, each way, in the table of a bias
SHIFT = 3  # positions by which a second pass stands further on
IN_LAYER = re.compile(r"\.\d+\.")


class PositionedModel(OpenedModel, Protocol):
    """An opened model whose layers can be read off a pass."""

    def dummy_inputs(self) -> dict[str, Tensor]: ...

    def layers_of(self, result: Any, recorded: Record, rows: int) -> Layers: ...


@dataclass(frozen=True, eq=False)
class PositionRun:
    """What one test pass showed.

    Attributes:
        states: stack -> what enters its first layer. [token, d_model]
        layers: kind of attention -> its layers.
        outputs: name of a module outside the layers -> the rows that it put out. [token, width]
        inputs: the rows that such modules were given, in the order of their calls. [token, width] each
    """

    states: Mapping[str, Array]
    layers: Mapping[str, Any]
    outputs: dict[str, Array] = field(default_factory=dict)
    inputs: list[Array] = field(default_factory=list)


def plain_ids(lens: PositionedModel) -> tuple[int, int]:
    """Two ids that are no marks, so that no model treats them apart."""
    marks = {*lens.tokenizer.all_special_ids, lens.module.config.get_text_config().pad_token_id, lens.decoder_start}
    count = lens.module.get_input_embeddings().weight.shape[0]
    found = [i for i in range(count) if i not in marks][: count // 2 + 2]
    return found[len(found) // 2], found[-1]


def equal_tokens(lens: PositionedModel, token: int, places: int) -> dict[str, Tensor]:
    """The smallest input's keyword arguments, with one token at all places; an end mark that stands last stays.

    A sound has one number at all places, another one for each token.
    """
    inputs = lens.dummy_inputs()
    ids = torch.full((1, places), token, dtype=torch.long, device=lens.device)
    read = inputs.get("input_ids")
    if read is not None and int(read[0, -1]) == getattr(lens.module.config, "eos_token_id", None):
        ids[0, -1] = read[0, -1]
    equal = dict.fromkeys(inputs, ids)
    for name, one in inputs.items():
        if name == "attention_mask":
            equal[name] = torch.ones_like(one if read is None else ids)
        elif one.is_floating_point():
            equal[name] = torch.full_like(one, 1 / (2 + token))
    return equal


@torch.inference_mode()
def run(
    lens: PositionedModel,
    inputs: Mapping[str, Tensor],
    *,
    watch: bool = False,
    silent: str | None = None,
    shift: int = 0,
) -> PositionRun:
    """A pass of a copy of the model, so that passes of other threads are not touched.

    Args:
        watch: keep what modules outside the layers are given and put out.
        silent: name of a module whose output is replaced by zeros.
        shift: first position, for models that take positions.
    """
    copied, outputs, given = shallow_copy(lens.module), dict[str, Array](), list[Array]()
    lengths = {lens.length_of(stack, inputs) for stack in stack_names(lens)}
    for name, part in copied.named_modules():
        if name == silent:
            part.register_forward_hook(_zeros)
        elif watch and not IN_LAYER.search(f".{name}.") and not any(part.children()):
            part.register_forward_hook(_keep(outputs, name, lengths))
            part.register_forward_pre_hook(_keep_input(given, lengths))
    extra = {}
    if shift:
        extra["position_ids"] = torch.arange(shift, shift + max(lengths), device=lens.device)[None]
    with record() as recorded:
        result = lens.run(copied, {**inputs, **extra}, eager=not lens.uses_interface)
    prefix = "{}_" if lens.is_encoder_decoder else ""
    states = {
        stack: to_numpy(residual_stream(result[f"{prefix.format(stack)}hidden_states"], lens.module.config)[0][0])
        for stack in stack_names(lens)
    }
    layers = {kind: rows[0] for kind, rows in lens.layers_of(result, recorded, 1).items()}
    return PositionRun(states, layers, outputs, given)


@torch.inference_mode()
def added_by(lens: PositionedModel, name: str) -> Array:
    """What a parameter adds to the first layer's input: the difference to a pass in which it is 0. [token, d_model]"""
    states = []
    for present in (True, False):
        copied = shallow_copy(lens.module)
        if not present:
            owner, _, last = name.rpartition(".")
            part = copied.get_submodule(owner)
            setattr(part, last, nn.Parameter(torch.zeros_like(getattr(part, last))))
        result = lens.run(copied, lens.dummy_inputs(), eager=not lens.uses_interface)
        states.append(to_numpy(result["hidden_states"][0][0]))
    difference: Array = states[0] - states[1]
    return difference


def takes_positions(module: nn.Module) -> bool:
    """Whether a model can be told at which positions its tokens stand."""
    return "position_ids" in forward_inputs(module)


def constants(parts: Iterable[nn.Module]) -> list[Array]:
    """Tables of numbers that modules keep beside their weights, such as CTRL's sinusoids. [row, column] each"""
    found = []
    for part in parts:
        kept = [*part.buffers(recurse=False), *(one for one in vars(part).values() if isinstance(one, Tensor))]
        found += [to_numpy(one.squeeze()) for one in kept if one.is_floating_point() and one.squeeze().dim() == 2]
    return found


def _zeros(_: nn.Module, __: Any, output: Any) -> Any:
    return torch.zeros_like(output) if isinstance(output, Tensor) else output


def _keep(outputs: dict[str, Array], name: str, lengths: Collection[int]) -> Callable[..., None]:
    """A forward hook that keeps an output with one row a token."""

    def hook(_: nn.Module, __: Any, output: Any) -> None:
        if (rows := _rows(output, lengths)) is not None:
            outputs[name] = rows

    return hook


def _keep_input(given: list[Array], lengths: Collection[int]) -> Callable[..., None]:
    """A hook that keeps what a module is given, with one row a token."""

    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and (rows := _rows(arguments[0], lengths)) is not None:
            given.append(rows)

    return hook


def _rows(numbers: Any, lengths: Collection[int]) -> Array | None:
    """Numbers with one row a token of a stack; None for anything else. [token, width]"""
    if not isinstance(numbers, Tensor) or not numbers.is_floating_point() or numbers.dim() < 2:
        return None
    if numbers.numel() not in {count * numbers.shape[-1] for count in lengths}:  # several streams, or other rows
        return None
    rows = numbers.reshape(-1, numbers.shape[-1])
    return np.array(to_numpy(rows))
