"""Refusal of weights that are no finite numbers."""

from __future__ import annotations

import torch
from torch import nn

from model.errors import ModelError


@torch.no_grad()
def check_finite_weights(module: nn.Module) -> None:
    """Raise an error where a parameter of a module holds NaN or an infinite number.

    Each parameter is added up, which reads it once; only where the sum is not finite is every number looked at.

    Raises:
        ModelError: "files_damaged"; the message names the first such parameter.
    """
    for name, parameter in module.named_parameters():
        if not parameter.is_floating_point() or parameter.is_meta:
            continue
        # Half-precision numbers are added up in float32, where the sum does not overflow.
        total = parameter.sum(dtype=torch.float32 if parameter.itemsize < 4 else None)
        if not torch.isfinite(total) and not torch.isfinite(parameter).all():
            raise ModelError(
                "files_damaged",
                f"Its weights hold values that are no numbers (NaN or infinity), first in {name}: the file is damaged.",
            )
