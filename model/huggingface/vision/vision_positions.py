"""The position table of a vision model, and by how much it differs from what the model adds to its patches."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.huggingface import position_run
from model.huggingface.position_run import PositionedModel
from model.positions.scheme import PositionScheme

NEAR = 1e-2  # of the largest number: what differs by more is behind a norm, and not the table itself


def vision_scheme(lens: PositionedModel) -> PositionScheme:
    """The table that a vision model adds to its patches, as a pass with it and one without differ; "unseen" without."""
    for name, parameter in lens.module.named_parameters():
        if name.rsplit(".", 1)[-1] == "position_embeddings" and parameter.ndim == 3:
            added = position_run.added_by(lens, name)
            if added.any():
                return PositionScheme("learned", table=added.astype(np.float64), error=_error(added, parameter[0]))
    for name, part in lens.module.named_modules():
        if isinstance(part, nn.Embedding) and "position" in name.rsplit(".", 1)[-1]:
            added = position_run.added_by(lens, f"{name}.weight")
            table = to_numpy(part.weight).astype(np.float64)
            return PositionScheme("learned", table=table, error=_error(added, part.weight))
    return PositionScheme("unseen")


def _error(added: np.ndarray, table: Tensor) -> float | None:
    """The largest difference of what is added from a table, as a share of the largest; None where it is not at hand."""
    own = to_numpy(table.detach())
    if added.shape != own.shape:
        return None
    error = float(np.abs(added - own).max() / max(float(np.abs(own).max()), 1e-12))
    return error if error < NEAR else None
