"""LoRA adapters (Hu et al. 2021): merged into the weights of the model they were trained for, in plain arithmetic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.errors import OpeningError

CONFIG, WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."


def has_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, alone or beside a full model."""
    return (folder / CONFIG).is_file()


def base_model(folder: Path) -> str:
    """The name or folder of the model that an adapter belongs to; "" where it says none."""
    return str(_settings(folder).get("base_model_name_or_path") or "")


def merge_adapter(module: Any, folder: Path) -> None:
    """Add B A · alpha / r to each weight matrix that the adapter of a folder names.

    Raises:
        ValueError: it is no plain LoRA adapter, or names what the model does not have.
    """
    settings = _settings(folder)
    if settings.get("peft_type") != "LORA" or settings.get("use_dora") or not (folder / WEIGHTS).is_file():
        raise OpeningError(
            "it holds an adapter that cannot be merged here: merge it with the library that made it "
            "(merge_and_unload()) and save the result"
        )
    tensors = load_file(folder / WEIGHTS)
    parameters = dict(module.named_parameters())
    for name, lower in tensors.items():
        if ".lora_A." not in name:
            continue
        target = parameters.get(name.removeprefix(PREFIX).split(".lora_A.")[0] + ".weight")
        upper = tensors.get(name.replace(".lora_A.", ".lora_B."))
        if target is None or upper is None:
            raise OpeningError(f"its adapter changes {name.removeprefix(PREFIX)}, which the model does not have")
        _add(target, upper, lower, settings)
    unused = sorted(name for name in tensors if ".lora_A." not in name and ".lora_B." not in name)
    if unused:
        raise OpeningError(f"its adapter has {len(unused)} parts that are no LoRA matrices, such as {unused[0]}")


def _add(target: Tensor, upper: Tensor, lower: Tensor, settings: dict[str, Any]) -> None:
    """Change one weight matrix in place. upper: B [out, r]; lower: A [r, in]"""
    rank = lower.shape[0]
    alpha = float(settings.get("lora_alpha") or 8)  # what the library takes where nothing is said
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    change = scale * (upper.float() @ lower.float())
    with torch.no_grad():
        target += (change.T if settings.get("fan_in_fan_out") else change).to(target.dtype)


def _settings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return found
