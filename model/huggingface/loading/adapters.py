"""LoRA adapters (Hu et al. 2021): merged into the weights of the model they were trained for, in plain arithmetic."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from model.errors import OpeningError

CONFIG, WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
LOWER = re.compile(r"\.lora_A\.(default\.)?weight$")  # a lower matrix; its layer's name stands before


def has_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, alone or beside a full model."""
    return (folder / CONFIG).is_file()


def base_model(folder: Path) -> str:
    """The name or folder of the model that an adapter belongs to; "" where it says none."""
    return str(_settings(folder).get("base_model_name_or_path") or "")


def merge_adapter(module: Any, folder: Path) -> None:
    """Add B A · alpha / r to each weight matrix that the adapter of a folder names, and put in what it trained whole.

    Raises:
        OpeningError: it is no plain LoRA adapter, or names what the model does not have.
    """
    settings = _settings(folder)
    plain = settings.get("peft_type") == "LORA" and not settings.get("use_dora")
    # These begin with other weights than the model's own, which then are not those that were trained.
    plain &= not re.match("pissa|olora|corda|loftq", str(settings.get("init_lora_weights", "")).lower())
    if not plain or not (folder / WEIGHTS).is_file():
        raise OpeningError(
            "it holds an adapter that cannot be merged here: merge it with the library that made it "
            "(merge_and_unload()) and save the result"
        )
    tensors = {name.removeprefix(PREFIX): one for name, one in load_file(folder / WEIGHTS).items()}
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name in [name for name in tensors if LOWER.search(name)]:
            place = LOWER.split(name)[0]
            target, upper = parameters.get(f"{place}.weight"), tensors.pop(name.replace(".lora_A.", ".lora_B."), None)
            if target is None or upper is None:
                raise OpeningError(f"its adapter changes {name}, which the model does not have")
            change = _change(place, upper, tensors.pop(name), settings)
            _check_fits(name, target, change := change.T if _is_transposed(module, place) else change)
            target += change.to(target.dtype)
        for name in [name for name in tensors if name in parameters]:  # such as a classifier's own layer
            _check_fits(name, parameters[name], tensors[name])
            parameters[name].copy_(tensors.pop(name))
    if tensors:
        first = min(tensors)
        raise OpeningError(f"its adapter has {len(tensors)} parts that are no LoRA matrices, such as {first}")


def _is_transposed(module: Any, place: str) -> bool:
    """Whether a layer keeps its matrix as [in, out], as GPT-2's do. place: its name"""
    return isinstance(module.get_submodule(place), Conv1D)


def _check_fits(name: str, target: Tensor, change: Tensor) -> None:
    if target.shape != change.shape:
        raise OpeningError(f"its adapter was made for a model of another size: {name} does not fit")


def _change(place: str, upper: Tensor, lower: Tensor, settings: dict[str, Any]) -> Tensor:
    """What is added to one weight matrix, float32 [out, in]. place: its layer; upper: B [out, r]; lower: A [r, in]"""
    rank = lower.shape[0]
    alphas = settings.get("alpha_pattern") or {}
    own = next((one for pattern, one in alphas.items() if re.match(rf"(.*\.)?({pattern})$", place)), None)
    alpha = float(own or settings.get("lora_alpha") or 8)  # what the library takes where nothing is said
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return scale * (upper.float() @ lower.float())


def _settings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return found
