"""Attention in Hugging Face's transformers: the function its models share, and BART's layer."""

import numpy as np
import torch
from transformers import BartConfig
from transformers.models.bart.modeling_bart import BartAttention, eager_attention_forward

Array = np.ndarray


def additive(mask: Array, bias: Array) -> torch.Tensor:
    """The mask in the library's form, to be added to the scores: the smallest float32 number where a cell is masked.

    Args:
        mask: bool [query, key], True where a query may look; bias: [head, query, key] or [query, key].
    """
    return torch.tensor(bias).masked_fill(torch.tensor(~mask), torch.finfo(torch.float32).min)


def formula(
    query: Array,  # [head, query, head_dim]
    key: Array,  # [head, key, head_dim]
    value: Array,  # [head, key, head_dim]
    mask: Array,  # bool [query, key], True where a query may look
    bias: Array,  # [head, query, key], added to the scores
    scale: float,  # usually 1 / √head_dim
) -> tuple[Array, Array]:
    """softmax(q kᵀ · scale + bias) v, where the mask allows it, by the library's own function.

    Returns weights [head, query, key] and output [head, query, head_dim].
    """
    output, weights = eager_attention_forward(
        torch.nn.Module().eval(),  # only its training flag is read
        torch.tensor(query)[None],  # a batch of one sentence
        torch.tensor(key)[None],
        torch.tensor(value)[None],
        attention_mask=additive(mask, bias)[None],
        scaling=scale,
    )
    return weights[0].numpy(), output[0].transpose(0, 1).numpy()


@torch.no_grad()
def layer(
    query_input: Array,  # [query, d]
    key_input: Array,  # [key, d], the same tokens in self-attention
    w: Array,  # W_Q, W_K, W_V, W_O, used as x W + b; [4, d, d]
    b: Array,  # [4, d]
    num_heads: int,
    mask: Array,  # bool [query, key], True where a query may look
) -> tuple[Array, Array]:
    """`BartAttention`, which does self-attention and cross-attention, with given matrices.

    Returns weights [head, query, key] and output [query, d].
    """
    config = BartConfig.from_dict({"attn_implementation": "eager"})  # the others return no weights
    attention = BartAttention(query_input.shape[1], num_heads, config=config).eval()
    for number, name in enumerate(("q_proj", "k_proj", "v_proj", "out_proj")):
        linear = getattr(attention, name)  # torch.nn.Linear keeps its matrix transposed
        linear.weight.copy_(torch.tensor(w[number].T))
        linear.bias.copy_(torch.tensor(b[number]))
    output, weights = attention(
        hidden_states=torch.tensor(query_input)[None],
        key_value_states=torch.tensor(key_input)[None],
        attention_mask=additive(mask, np.zeros(mask.shape, np.float32))[None, None],
    )
    return weights[0].numpy(), output[0].numpy()
