"""The protocol of an opened Hugging Face model, as generation, probes and reference runs use it, and its stacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from torch import Tensor, nn

from model.tokenization.languages import Languages

SHOWN_STAGE = "shown_stage"  # an attribute of a module: the path of its stage that is shown, where it has several


class OpenedModel(Protocol):
    """A Hugging Face model ready to run; `model.huggingface.text_model.TextModel` is one.

    Attributes:
        module: the library's model object; tokenizer: its tokenizer; device: the PyTorch device that it runs on.
        head: what its head answers, of `model.huggingface.answers`.
        model_max_tokens: the longest input that the model itself takes.
        full_tokens: the longest text whose tokens all look at all others; None where that is no limit.
        max_tokens: the longest input in tokens.
        decoder_start: id of the token that an encoder-decoder model's decoder is fed first, -1 in other models.
        languages: the languages that it translates between, where its tokenizer has tokens for them.
        heads: kind of attention -> layers, and heads of each.
        is_encoder_decoder: True for an encoder-decoder model.
        single_stack: what a single stack is, "encoder" or "decoder", by its masks.
        writes: True where the model predicts a next token.
        uses_interface: True where its attention runs through `model.attention.formula.attention`.
        frames_of_tokens: the frame of each token in the stream of a model that looks over time and across a frame in
            turn, -1 for a token of none; empty in other models. Those of the first frame are shown.
        last_block: the last layer of the last stack, or None where no stack was found.
    """

    module: Any
    tokenizer: Any
    device: str
    max_tokens: int
    model_max_tokens: int
    full_tokens: int | None
    head: str
    decoder_start: int
    languages: Languages | None
    is_encoder_decoder: bool
    heads: Mapping[str, tuple[int, int]]
    single_stack: str
    writes: bool
    uses_interface: bool
    last_block: nn.Module | None
    frames_of_tokens: tuple[int, ...]

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """The library's output object of one pass with all hidden states; with weights where `eager`."""
        ...

    def length_of(self, stack: str, inputs: Mapping[str, Tensor]) -> int:
        """How many tokens a stack reads of the module's keyword arguments."""
        ...

    def dummy_inputs(self) -> dict[str, Tensor]:
        """Keyword arguments of the module for a short pass through all layers."""
        ...


def stack_names(lens: OpenedModel) -> tuple[str, ...]:
    """The stacks of a model, the one that answers last."""
    return ("encoder", "decoder") if lens.is_encoder_decoder else (lens.single_stack,)


def find_stack(stack: str, module: Any) -> nn.Module:
    """A stack of a copy of the model; of a model with one stack the whole model, or the stage that is shown."""
    if shown := getattr(module, SHOWN_STAGE, ""):
        stage: nn.Module = module.get_submodule(shown)
        return stage
    if not module.config.is_encoder_decoder or type(module).__name__.endswith("EncoderModel"):
        return module
    found: nn.Module = module.get_encoder() if stack == "encoder" else module.get_decoder()
    return found


def forward_inputs(module: nn.Module) -> frozenset[str]:
    """The names of what a module can be given."""
    return _inputs_of(type(module).forward)


@cache
def _inputs_of(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)
