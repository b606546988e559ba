"""The positional encoding of a Hugging Face model, detected from its modules."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

from model.arrays.torch_to_numpy import to_numpy
from model.positions.scheme import PositionScheme

REACH = 32  # largest distance, each way, in the table of a relative bias
# Model types of which every layer rotates queries and keys by token position; a test asks each layer.
ROTATES_ALL_LAYERS = ("llama", "mistral", "qwen3", "gemma", "gpt_neox", "esm")


@torch.no_grad()
def detect_scheme(module: Any) -> PositionScheme:
    """The positional encoding, detected by the module that computes it.

    Tried in this order: a rotary frequency table (Su et al. 2021), a relative bias (T5), ALiBi (Press et al. 2022), a
    learned or sinusoidal position table.

    Returns:
        A scheme of kind "unseen" where none is found.
    """
    alibi = getattr(module.config, "alibi", False)  # Falcon keeps an unused frequency table beside it
    for part in module.modules():
        if not alibi and isinstance(getattr(part, "inv_freq", None), torch.Tensor):
            frequencies = to_numpy(part.inv_freq).astype(np.float64)
            return PositionScheme("rotary", frequencies=frequencies, pairs=_rotated_pairs(module, len(frequencies)))
    for part in module.modules():
        if isinstance(getattr(part, "relative_attention_bias", None), nn.Embedding) and hasattr(part, "compute_bias"):
            square = to_numpy(part.compute_bias(2 * REACH + 1, 2 * REACH + 1)[0])  # [head, query, key]
            return PositionScheme("bias", bias=square[:, REACH], distances=np.arange(-REACH, REACH + 1))
    for part in module.modules():
        if hasattr(part, "build_alibi_tensor"):
            heads = module.config.num_attention_heads
            mask = torch.ones(1, REACH + 1, dtype=torch.long, device=module.device)
            slopes = to_numpy(part.build_alibi_tensor(mask, heads, torch.float32)).reshape(heads, -1)  # [head, key]
            # Added per key; the softmax ignores what a whole row shares, so only the distance counts.
            return PositionScheme("bias", bias=slopes - slopes[:, -1:], distances=np.arange(-REACH, 1))
        if hasattr(part, "build_mpt_alibi_tensor") and module.config.attn_config.alibi:
            slopes = to_numpy(part.build_mpt_alibi_tensor(module.config.n_heads, REACH + 1)[:, 0])  # [head, key]
            return PositionScheme("bias", bias=slopes, distances=np.arange(-REACH, 1))
    word = module.get_input_embeddings()
    for name, part in module.named_modules():
        last = name.rsplit(".", 1)[-1]
        if isinstance(part, nn.Embedding) and part is not word and ("position" in last or last == "wpe"):
            learned = part.weight.requires_grad and "sinusoidal" not in type(part).__name__.lower()
            # RoBERTa and OPT keep the first rows for padding: no token stands there.
            unused = getattr(part, "offset", 0) or (
                0 if part.padding_idx is None or not learned else part.padding_idx + 1
            )
            table = to_numpy(part.weight).astype(np.float64)[unused:]
            return PositionScheme("learned" if learned else "sinusoidal", table=table)
    for name, parameter in module.named_parameters():
        if name.rsplit(".", 1)[-1] == "position_embeddings" and parameter.ndim == 3:  # a vision model's own table
            return PositionScheme("learned", table=to_numpy(parameter[0]).astype(np.float64))
    return PositionScheme("unseen")


def _rotated_pairs(module: Any, count: int) -> np.ndarray | None:
    """The dimensions that `count` frequencies rotate, found by asking the library's function. int64 [pair, 2]

    None where not every layer is known to rotate its queries and keys.
    """
    quarter_turn = getattr(sys.modules[type(module).__module__], "rotate_half", None)
    if module.config.model_type not in ROTATES_ALL_LAYERS or quarter_turn is None:
        return None
    turned = quarter_turn(torch.arange(1.0, 2 * count + 1)[None])[0]  # -b where the pair (a, b) has its a
    first = torch.nonzero(turned < 0)[:, 0]
    return to_numpy(torch.stack([first, (-turned[first]).long() - 1], dim=1))
