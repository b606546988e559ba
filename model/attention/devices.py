"""Devices and number formats that a model can run in."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_dtype(name: str) -> torch.dtype:
    """The PyTorch dtype of a number format's name.

    Args:
        name: one of `DTYPES`, such as "bfloat16".

    Raises:
        ValueError: `name` is not in `DTYPES`.
    """
    if name not in DTYPES:
        raise ValueError(f"There is no number format {name!r}; there is {', '.join(DTYPES)}.")
    return DTYPES[name]


def available_devices() -> list[str]:
    """Names of this machine's devices, fastest first: some of "cuda", "mps" and "cpu"."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in available.items() if there]


def device_choices() -> list[str]:
    """Devices and number formats to choose from, fastest device first; on a GPU also "cuda, bfloat16" and the like."""
    choices = []
    for device in available_devices():
        choices += [device] if device == "cpu" else [device, f"{device}, bfloat16", f"{device}, float16"]
    return choices


def split_device_choice(choice: str, default_dtype: str) -> tuple[str, str]:
    """Device and number format of one of `device_choices`.

    Args:
        choice: such as "cuda" or "cuda, bfloat16".
        default_dtype: the number format where `choice` names none.
    """
    device, _, dtype = choice.partition(", ")
    return device, dtype or default_dtype


def find_device(name: str) -> str:
    """A device's name with "auto" resolved to the fastest one (CUDA, then MPS, then CPU).

    Raises:
        ValueError: this machine has no such device.
    """
    available = available_devices()
    if name == "auto":
        return available[0]
    if name.split(":")[0] not in available:
        raise ValueError(f"This machine has no device {name!r}; it has {', '.join(available)}.")
    return name


def dtype_name(module: torch.nn.Module) -> str:
    """The number format of a module's weights, such as "float32"."""
    return str(next(module.parameters()).dtype).removeprefix("torch.")
