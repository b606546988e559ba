"""Where a model can run."""

from __future__ import annotations

import torch


def devices() -> list[str]:
    """The devices of this machine, best first."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in available.items() if there]


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
