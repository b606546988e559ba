"""Writing a folder that our loading code opens: safetensors, config.json and tokenizer files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_weights(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write weights as model.safetensors, and their configuration."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    (folder / "config.json").write_text(json.dumps(dict(config), indent=2), encoding="utf-8")


def save_tokenizer(folder: Path, tokenizer: Any, **settings: Any) -> None:
    """Write a tokenizer of the `tokenizers` library with the names of its marks, as the library's own class reads it.

    Args:
        settings: of tokenizer_config.json, such as `mask_token` and `model_max_length`.
    """
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def symbol_tokenizer(vocabulary: Mapping[str, int], symbols: str, upper: bool = False) -> Any:
    """A tokenizer for sequences of symbols, between [CLS] and [SEP]; what is no symbol is [UNK], spaces are left out.

    Args:
        vocabulary: symbol -> id, the marks of BERT among them.
        symbols: regular expression of one symbol.
        upper: read small letters as capital ones.
    """
    from tokenizers import Regex, Tokenizer, normalizers
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel(dict(vocabulary), unk_token="[UNK]"))
    steps: list[Any] = [normalizers.Replace(Regex(r"\s+"), "")]
    if upper:
        steps += [normalizers.Replace(letter.lower(), letter) for letter in vocabulary if len(letter) == 1]
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = Split(Regex(symbols), "isolated")
    made.decoder = Fuse()
    marks = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    made.add_special_tokens(list(marks))
    ends = [(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return made


BERT_MARKS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def read_vocabulary(file: Path) -> dict[str, int]:
    """Symbol -> id, of a file with one symbol a line."""
    return {symbol: place for place, symbol in enumerate(file.read_text(encoding="utf-8").splitlines())}


def read_pickle(file: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file; anything but tensors in it is an error, nothing is executed."""
    found: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return found
