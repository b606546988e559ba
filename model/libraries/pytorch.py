"""Attention in PyTorch: the formula on tensors, and the layer that comes with the library."""

import numpy as np
import torch
from torch import nn

Array = np.ndarray


def formula(
    query: Array,  # [head, query, head_dim]
    key: Array,  # [head, key, head_dim]
    value: Array,  # [head, key, head_dim]
    mask: Array,  # bool [query, key], True where a query may look
    bias: Array,  # [head, query, key], added to the scores
    scale: float,  # usually 1 / √head_dim
    softcap: float,  # c of c · tanh(score / c), which some models put around a score; 0 in most
    sinks: Array,  # [head], a score that takes its share of each row and is no key; -inf in most
) -> tuple[Array, Array]:
    """softmax(cap(q kᵀ · scale) + bias) v, where the mask allows it.

    Returns weights [head, query, key] and output [head, query, head_dim].
    """
    q, k, v = torch.tensor(query), torch.tensor(key), torch.tensor(value)
    scores = q @ k.transpose(-2, -1) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = (scores + torch.tensor(bias)).masked_fill(~torch.tensor(mask), -torch.inf)
    sink = torch.tensor(sinks)[:, None, None].expand(-1, len(mask), 1)
    weights = torch.cat([scores, sink], dim=-1).softmax(dim=-1)[..., :-1]
    return weights.numpy(), (weights @ v).numpy()


@torch.no_grad()
def layer(
    query_input: Array,  # [query, d]
    key_input: Array,  # [key, d], the same tokens in self-attention
    w: Array,  # W_Q, W_K, W_V, W_O, used as x W + b; [4, d, d]
    b: Array,  # [4, d]
    num_heads: int,
    mask: Array,  # bool [query, key], True where a query may look
) -> tuple[Array, Array]:
    """`torch.nn.MultiheadAttention` with given matrices.

    Returns weights [head, query, key] and output [query, d].
    """
    attention = nn.MultiheadAttention(query_input.shape[1], num_heads, batch_first=True).eval()
    # The library stacks W_Q, W_K and W_V to one tall matrix, and keeps every matrix transposed.
    matrices, biases = torch.tensor(w).transpose(1, 2), torch.tensor(b)
    attention.in_proj_weight.copy_(matrices[:3].flatten(0, 1))
    attention.in_proj_bias.copy_(biases[:3].flatten())
    attention.out_proj.weight.copy_(matrices[3])
    attention.out_proj.bias.copy_(biases[3])
    x, y = torch.tensor(query_input)[None], torch.tensor(key_input)[None]  # a batch of one sentence
    output, weights = attention(
        query=x,
        key=y,
        value=y,
        attn_mask=torch.tensor(~mask),  # here True means "may not look"
        need_weights=True,
        average_attn_weights=False,  # every head on its own
    )
    return weights[0].numpy(), output[0].numpy()
