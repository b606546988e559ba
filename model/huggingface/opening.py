"""Loading a Hugging Face model with the head it was trained with; no code that comes with the weights is executed."""

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

TOKENIZER_FILES = r"tokenizer|vocab|spiece|source\.spm|merges|.*\.model$"


def load_pretrained(name: str | Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The module and the tokenizer of a hub name or a folder; pickles load weights only.

    Raises:
        ValueError: there is no tokenizer, or weights are missing.
        OSError: there is no such model.
    """
    # Eager from the start: some families cannot be switched to it later.
    config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if config.is_encoder_decoder:
        opener: Any = AutoModelForSeq2SeqLM
    else:
        heads = (AutoModelForCausalLM, AutoModelForMaskedLM)
        known = (auto for auto in heads if architecture in supported_architectures(auto))
        opener = next(known, AutoModel)
    folder = Path(name)
    if not any(file for file in folder.glob("*") if re.match(TOKENIZER_FILES, file.name)):
        raise ValueError(f"{folder.name} holds no tokenizer")
    module = _load_weights(opener, name, config, dtype)
    return module, AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def _load_weights(opener: Any, name: str | Path, config: Any, dtype: torch.dtype) -> Any:
    """A module with all its weights; without its head where the file has no weights for one.

    Raises:
        ValueError: other weights are missing, which the library would make up.
    """
    module, info = opener.from_pretrained(
        name, config=config, trust_remote_code=False, weights_only=True, dtype=dtype, output_loading_info=True
    )
    # The pooler of a classifier is not used here, and often missing.
    missing = [key for key in info["missing_keys"] if "pooler" not in key]
    if not missing:
        return module
    if opener is AutoModel:
        raise ValueError(f"its weights lack {len(missing)} parts, such as {sorted(missing)[0]}")
    return _load_weights(AutoModel, name, config, dtype)


def max_input_tokens(module: Any, tokenizer: Any) -> int:
    """Longest input in tokens: the least of the model's positions, its tokenizer's limit, and 2048."""
    config = module.config
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    # RoBERTa and its relatives number positions from the padding's own onwards.
    tables = [part for name, part in module.named_modules() if name.endswith("position_embeddings")]
    first = max((part.padding_idx + 1 for part in tables if getattr(part, "padding_idx", None) is not None), default=0)
    return min([n - first for n in limits if isinstance(n, int) and n > 0] + [tokenizer.model_max_length, 2048])


def decoder_start_id(module: Any, tokenizer: Any) -> int:
    """Id of the token that an encoder-decoder model's decoder is fed first.

    Raises:
        ValueError: neither the configuration nor the tokenizer names one.
    """
    for token_id in (
        module.config.decoder_start_token_id,
        module.generation_config.decoder_start_token_id,
        tokenizer.bos_token_id,
    ):
        if token_id is not None:
            return int(token_id)
    raise ValueError("nothing says which token its decoder starts with")


def supported_architectures(auto: Any) -> set[str]:
    """Names of the model classes that one of the library's `Auto…` classes opens."""
    names: set[str] = set()
    for value in auto._model_mapping._model_mapping.values():
        names |= set(value) if isinstance(value, (tuple, list)) else {value}
    return names
