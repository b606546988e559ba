"""Where a model can run."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_dtype(name: str) -> torch.dtype:
    """A number format by its name.

    Raises:
        ValueError: there is no such format here.
    """
    if name not in DTYPES:
        raise ValueError(f"There is no number format {name!r}; there is {', '.join(DTYPES)}.")
    return DTYPES[name]


def devices() -> list[str]:
    """The devices of this machine, best first."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in available.items() if there]


def places() -> list[str]:
    """Where a model can run, best first; on a GPU also in half precision, as "cuda, bfloat16"."""
    found = []
    for device in devices():
        found += [device] if device == "cpu" else [device, f"{device}, bfloat16", f"{device}, float16"]
    return found


def split(place: str, dtype: str) -> tuple[str, str]:
    """Device and number format of one of `places`; the format is `dtype` where none is named."""
    device, _, named = place.partition(", ")
    return device, named or dtype


def find_device(name: str) -> str:
    """ "auto" as the best device there is (CUDA, then MPS, then CPU); any other name as it is.

    Raises:
        ValueError: this machine has no such device.
    """
    here = devices()
    if name == "auto":
        return here[0]
    if name.split(":")[0] not in here:
        raise ValueError(f"This machine has no device {name!r}; it has {', '.join(here)}.")
    return name


def dtype_name(module: torch.nn.Module) -> str:
    """The number format of a module's weights, such as "float32"."""
    return str(next(module.parameters()).dtype).removeprefix("torch.")
