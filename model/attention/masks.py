"""Additive and Boolean masks as the attention function takes them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def split_mask(mask: Tensor | None, limit: float | None = None) -> tuple[Tensor | None, Tensor | None]:
    """A bool mask for all heads, and what else a mask adds to the scores of heads; None where there is none.

    A key forbidden for some heads only stays allowed in the mask, and gets -inf in what is added.

    Args:
        mask: bool, True where a query may look, or additive. [batch, head or 1, query, key]
        limit: an additive mask forbids what is not above it; None is half the dtype's minimum. With a limit, a row of
            which every key would be forbidden keeps its finite values: softmax still spreads it over its keys.

    Returns:
        [batch, 1, query, key], [batch, head or 1, query, key]
    """
    if mask is None:
        return None, None
    if mask.dtype == torch.bool:
        own, added = mask, None
    else:
        own = mask > (torch.finfo(mask.dtype).min / 2 if limit is None else limit)
        if limit is not None:
            own = own | ((mask > -math.inf) & ~own.any(dim=-1, keepdim=True))
        added = mask.masked_fill(~own, 0)
    if own.shape[1] == 1:
        return own, added
    allowed = own.any(dim=1, keepdim=True)
    if bool((own == allowed).all()):
        return allowed, added
    added = torch.zeros(own.shape, dtype=torch.float32, device=own.device) if added is None else added
    return allowed, added.masked_fill(~own & allowed, -math.inf)
