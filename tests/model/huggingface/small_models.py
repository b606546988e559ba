"""Small random models, saved to a folder as the library saves them, for tests and for `tests.sweep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import model

TEXT, TARGET = "the cat sat on the mat because the cat was tired", "le chat était assis"
FRENCH_AND_ENGLISH = [TEXT, TARGET, "a b c d e f g h i j k l m n o p q r s t u v w x y z é"]
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MARKS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "unk_token": "<unk>"}


def tokenizer() -> PreTrainedTokenizerFast:
    """A few hundred pieces, with "##" inside words."""
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=["<pad>", "<s>", "</s>", "<mask>", "<unk>"])
    made.train_from_iterator(FRENCH_AND_ENGLISH, trainer)
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
