"""Small random models, saved to a folder as the library saves them, for tests and for `tests.sweep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import model

TEXT, TARGET = "the cat sat on the mat because the cat was tired", "le chat était assis"
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MARKS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "unk_token": "<unk>"}


# Written down, since a trainer numbers pieces that are equally frequent by chance, and with them what a test reads.
LETTERS = "abcdefghijklmnopqrstuvwxyzé"
INNER = "##a ##c ##d ##e ##h ##i ##n ##r ##s ##t ##u ##ai ##at ##au ##ed ##is ##red ##se"
WORDS = "as be ch le mat on sat th the ti wa cat ét chat tired was étai assis because était"


def tokenizer() -> PreTrainedTokenizerFast:
    """Seventy pieces, with "##" inside words."""
    pieces = ["<pad>", "<s>", "</s>", "<mask>", "<unk>", *LETTERS, *INNER.split(), *WORDS.split()]
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=48, **MARKS)


def sharpen(module: Any, factor: float = 3) -> Any:
    """The module with weights further apart: attention of fresh weights is nearly uniform, and would hide mistakes."""
    with torch.no_grad():
        computed = {
            id(parameter)
            for part in module.modules()
            if "sinusoidal" in type(part).__name__.lower()
            for parameter in part.parameters()
        }
        for name, parameter in module.named_parameters():
            by_formula = "embed_positions" in name and not parameter.requires_grad
            if id(parameter) not in computed and not by_formula:
                parameter.mul_(factor)
    return module


def save(module: Any, folder: Path, *readers: Any) -> Path:
    """The folder, with the module and with what reads its input: a tokenizer, an image processor."""
    sharpen(module).save_pretrained(folder)
    for reader in readers:
        reader.save_pretrained(folder)
    return folder


class OpenedFamilies(dict[str, Any]):
    """Opens each family once, through the public door.

    Args:
        build: saves the model of a family to a folder; new_folder: an empty one, by a name.
    """

    def __init__(self, build: Callable[[str, Path], None], new_folder: Callable[[str], Path]) -> None:
        super().__init__()
        self._build, self._new_folder = build, new_folder

    def __missing__(self, family: str) -> Any:
        folder = self._new_folder(family)
        self._build(family, folder)
        self[family] = lens = model.load(str(folder), device="cpu")
        return lens
