"""What the first layer of a from-scratch model reads, for reference runs: tokens, and positions by their formula."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from model.attention.edit_plan import EditPlan
from model.verification.float64_mode import any_format
from model.verification.position_formulas import sinusoidal_table


def embed(ours: Any, ids: Tensor, plan: EditPlan | None, dtype: torch.dtype) -> Tensor:
    """Scaled embeddings with positions by the formula. [batch, token] -> [batch, token, d_model]"""
    width, count = ours.config.d_model, ids.shape[1]
    scaled = nn.functional.embedding(ids, ours.embedding.weight.to(dtype)) * math.sqrt(width)
    order = None if plan is None else plan.position_order(count)
    with any_format():  # as the model stores them, whatever this pass computes in
        rounded = sinusoidal_table(count, width).to(ours.positions.dtype).to(scaled)
    return scaled + rounded[torch.arange(count) if order is None else order]
