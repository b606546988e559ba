"""What taking a pass apart needs to know of an opened model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Run = Callable[[Any], Any]  # passes an input through a copy of the model
Find = Callable[[Any], nn.Module]  # a part of a copy of the model


@dataclass(frozen=True, eq=False)
class ModelPass:
    """One pass of one text through an opened model, to be run again.

    Attributes:
        module: the model.
        stacks: "encoder" | "decoder" -> finds that stack in a copy of the model.
        words: finds the table of tokens of a stack in a copy of the model.
        tokens: stack -> number of tokens in its stream.
        run: passes the input through a copy, with its edits; plain: without edits.
        output_matrix: the vectors of the vocabulary that the last state is compared with, and the bias; None where the
            output head is not such a linear map.
        output_path: the path of the module that holds it, "" where the model multiplies by the matrix itself.
        logits: the model's own scores. [token, vocab]
        frames: of a video, the frame of each token of its stream, -1 for a token of none.
        positions: what a copy of the model adds to its tokens, where no part of it holds that. [token, d_model]
    """

    module: nn.Module
    stacks: Mapping[str, Find]
    words: Callable[[str, Any], nn.Module]
    tokens: Mapping[str, int]
    run: Run
    plain: Run
    output_matrix: tuple[Tensor, Tensor | None] | None = None
    output_path: str = ""
    logits: Callable[[int], Tensor] | None = None
    positions: Callable[[Any], Tensor] | None = None
    frames: tuple[int, ...] = ()

    @property
    def shown(self) -> tuple[int, ...] | None:
        """Which tokens of the stream are shown, of a video those of its first frame; None for all."""
        return tuple(i for i, frame in enumerate(self.frames) if frame <= 0) or None
