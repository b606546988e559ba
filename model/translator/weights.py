"""Weights of the own format: kept in half precision, computed with in float32."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from model.attention.finite_weights import check_finite_weights


def read_weights(module: nn.Module, folder: Path) -> None:
    """Fill a module with the weights of a folder, as float32.

    Raises:
        OSError: there is no model.safetensors.
        RuntimeError: it holds the weights of another module.
        ModelError: weights hold NaN or infinite numbers.
    """
    half = load_file(folder / "model.safetensors")
    module.load_state_dict({name: tensor.float() for name, tensor in half.items()})
    check_finite_weights(module)
