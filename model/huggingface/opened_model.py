"""What the parts of this room need of an opened Hugging Face model; `model.huggingface.text_model` is one."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class OpenedModel(Protocol):
    """A Hugging Face model ready to run.

    Attributes:
        module: the model object of the library; tokenizer: its tokenizer; device: where it runs.
        max_tokens: the longest input in tokens.
        start: id of the token that an encoder-decoder model's decoder is fed first, -1 in other models.
        is_pair: True for an encoder-decoder model; single: what a single stack is, "encoder" or "decoder".
        writes: True where it predicts a next token.
        sees_inside: True where its attention runs through `model.attention.formula.attention`.
        last_block: the last layer of the last stack, or None where no stack was found.
    """

    module: Any
    tokenizer: Any
    device: str
    max_tokens: int
    start: int
    is_pair: bool
    single: str
    writes: bool
    sees_inside: bool
    last_block: nn.Module | None

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """The library's output object of one pass with all hidden states; weights too where `eager`."""
        ...
