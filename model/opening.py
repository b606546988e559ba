"""Reading a Hugging Face model with the head it was trained with; nothing that comes with the weights is executed."""

from __future__ import annotations

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
    module = opener.from_pretrained(name, config=config, trust_remote_code=False, weights_only=True, dtype=dtype)
    return module, AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def architectures(auto: Any) -> set[str]:
    """The names of the model classes that one of the library's `Auto…` classes opens."""
    names: set[str] = set()
    for value in auto._model_mapping._model_mapping.values():
        names |= set(value) if isinstance(value, (tuple, list)) else {value}
    return names
