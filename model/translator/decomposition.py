"""A from-scratch pass taken apart: blocks of the residual stream, credit of a token's score, one match split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.boxes import hook_boxes
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart
from model.trace.edits import Boxes


def take_pass_apart(
    lens: Any, inputs: Sequence[Tensor], row: int, plan: EditPlan | None, logits: Tensor, *wanted: Any
) -> Any:
    """What is wanted of one text of a pass, as `model.decomposition.take_apart.take_apart`.

    Args:
        lens: a `model.translator.own_model.OwnModel`.
        inputs: ids of the batch for each stack, as its module takes them, int64 [b, token]; row: which of the texts.
        logits: of the pass. [b, t, vocab]
    """
    lens.boxes()  # how the model is built is read off a short pass
    own = tuple(ids[row : row + 1] for ids in inputs)
    return take_apart(_model_pass(lens, own, plan, lambda position: logits[row, position]), *wanted)


def boxes(lens: Any) -> Boxes:
    """As `model.trace.lens.Lens.boxes`. lens: a `model.translator.own_model.OwnModel`"""
    stacks, special = _stacks(lens), max(lens.config.pad, lens.config.bos, lens.config.eos, lens.config.unk)
    ids = special + 1 + torch.arange(8, device=lens.device)[None] * 997 % (lens.config.vocab_size - special - 1)
    return hook_boxes(lens.module, lambda: _model_pass(lens, [ids] * len(stacks), None, None))


def take_clip_apart(lens: Any, pixels: Tensor, row: int, plan: EditPlan | None, *wanted: Any) -> Any:
    """As `take_pass_apart`, of one clip of a batch. lens: a `model.translator.video.video_model.VideoModel`"""
    return take_apart(_clip_pass(lens, pixels[row : row + 1], plan), *wanted)


def clip_boxes(lens: Any) -> Boxes:
    """As `model.trace.lens.Lens.boxes`. lens: a `model.translator.video.video_model.VideoModel`"""
    pixels = torch.arange(lens.frames * lens.config.size**2, device=lens.device) * 97 % 256
    pixels = pixels.to(torch.uint8).view(1, lens.frames, lens.config.size, -1)
    return hook_boxes(lens.module, lambda: _clip_pass(lens, pixels, None))


def _clip_pass(lens: Any, pixels: Tensor, plan: EditPlan | None) -> ModelPass:
    """One pass of one clip, to be run again. pixels: uint8 [1, frame, height, width]"""

    def plain(module: Any) -> Any:
        return module.answer(module.encode(pixels, module.masks(lens.frames))[-1])

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return plain(module)

    return ModelPass(
        lens.module,
        {"encoder": lambda module: module},
        lambda _, module: module.embedding,
        {"encoder": lens.max_tokens},
        run,
        plain,
        positions=lambda module: module.positions(lens.frames).detach(),
    )


def _stacks(lens: Any) -> list[str]:
    return [stack for stack in ("encoder", "decoder") if stack in lens.heads]


def _model_pass(
    lens: Any, own: Sequence[Tensor], plan: EditPlan | None, logits: Callable[[int], Tensor] | None
) -> ModelPass:
    """One pass of one text, to be run again. own: ids for each stack, int64 [1, token]"""

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return module(*own)

    stacks = _stacks(lens)
    return ModelPass(
        lens.module,
        {stack: attrgetter(stack) for stack in stacks},
        lambda _, module: module.embedding,
        {stack: ids.shape[1] for stack, ids in zip(stacks, own, strict=True)},
        run,
        lambda module: module(*own),
        (lens.module.embedding.weight, None),
        logits=logits,
    )
