"""Reading a Hugging Face model with the head it was trained with; nothing that comes with the weights is executed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

TOKENIZER = r"tokenizer|vocab|spiece|source\.spm|merges|.*\.model$"


def read_model(name: str | Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The module and the tokenizer of a hub name or a folder; pickles load weights only."""
    # Eager from the start: some families cannot be switched to it later.
    config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if config.is_encoder_decoder:
        opener: Any = AutoModelForSeq2SeqLM
    else:
        offers = (AutoModelForCausalLM, AutoModelForMaskedLM)
        known = (auto for auto in offers if architecture in architectures(auto))
        opener = next(known, AutoModel)
    folder = Path(name)
    if not any(file for file in folder.glob("*") if re.match(TOKENIZER, file.name)):
        raise ValueError(f"{folder.name} holds no tokenizer")
    module = _weights(opener, name, config, dtype)
    return module, AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def _weights(opener: Any, name: str | Path, config: Any, dtype: torch.dtype) -> Any:
    """A module whose weights are all there; without the head, where it has none.

    Raises:
        ValueError: others are missing; the library would make them up.
    """
    module, info = opener.from_pretrained(
        name, config=config, trust_remote_code=False, weights_only=True, dtype=dtype, output_loading_info=True
    )
    # What pools the states for a classifier is not looked at, and often left out.
    missing = [key for key in info["missing_keys"] if "pooler" not in key]
    if not missing:
        return module
    if opener is AutoModel:
        raise ValueError(f"its weights lack {len(missing)} parts, such as {sorted(missing)[0]}")
    return _weights(AutoModel, name, config, dtype)


def most_tokens(module: Any, tokenizer: Any) -> int:
    """How many tokens a model takes: as many as it has positions for, and its tokenizer allows."""
    config = module.config
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    # RoBERTa and its kin count positions from behind the padding's own.
    tables = [part for name, part in module.named_modules() if name.endswith("position_embeddings")]
    first = max((part.padding_idx + 1 for part in tables if getattr(part, "padding_idx", None) is not None), default=0)
    return min([n - first for n in limits if isinstance(n, int) and n > 0] + [tokenizer.model_max_length, 2048])


def first_token(module: Any, tokenizer: Any) -> int:
    """What an encoder-decoder model's decoder is fed first.

    Raises:
        ValueError: nothing says.
    """
    for found in (
        module.config.decoder_start_token_id,
        module.generation_config.decoder_start_token_id,
        tokenizer.bos_token_id,
    ):
        if found is not None:
            return int(found)
    raise ValueError("nothing says which token its decoder starts with")


def architectures(auto: Any) -> set[str]:
    """The names of the model classes that one of the library's `Auto…` classes opens."""
    names: set[str] = set()
    for value in auto._model_mapping._model_mapping.values():
        names |= set(value) if isinstance(value, (tuple, list)) else {value}
    return names
