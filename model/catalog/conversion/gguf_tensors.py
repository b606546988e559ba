"""Whether a GGUF file and the model made of it hold the same numbers: the library drops and makes up some silently."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import OpeningError

FACTORS = "rope_freqs.weight"  # by which the frequencies of positions are divided, one each (Llama 3.1 and later)
# The numbers that all models of this kind were trained with; the last one differs, and is the largest of the factors.
LLAMA_3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 8192}


def check_all_used(file: Path, module: Any) -> dict[str, Any]:
    """Settings of positions that the library does not read of a GGUF file; empty without.

    Args:
        module: what the library made of the file.

    Raises:
        OpeningError: the model has other numbers than the file, in count, or rotates by factors that it does not know.
    """
    from gguf import GGUFReader

    tensors = {tensor.name: tensor for tensor in GGUFReader(file).tensors}
    factors = tensors.pop(FACTORS, None)
    given = sum(int(tensor.n_elements) for tensor in tensors.values())
    needed = sum(parameter.numel() for parameter in module.parameters())  # of tied ones each once
    if given < needed:
        raise OpeningError(f"its file lacks {needed - given:,} of the {needed:,} numbers that such a model has")
    if given > needed:
        raise OpeningError(f"{given - needed:,} of the {given:,} numbers in its file would not be used")
    return {} if factors is None else _scaled_positions(np.asarray(factors.data, np.float64), module)


def _scaled_positions(factors: np.ndarray, module: Any) -> dict[str, Any]:
    """The settings that give the same frequencies of positions. factors: [half of a head's width]

    Raises:
        OpeningError: none do.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    if np.allclose(factors, 1):
        return {}
    config = copy.deepcopy(module.config)
    plain = dict(config.rope_parameters)
    settings = {**plain, **LLAMA_3, "factor": float(factors.max())}
    half = np.arange(len(factors)) / len(factors)
    expected = float(plain["rope_theta"]) ** -half / factors
    config.rope_parameters = settings
    found = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0].numpy()
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-3):
        raise OpeningError("its file scales the frequencies of positions in a way that is not read here")
    return settings
