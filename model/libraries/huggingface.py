"""Attention in Hugging Face's transformers: the function its models share, and BART's layer."""

from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import BartConfig
from transformers.models.bart.modeling_bart import BartAttention, eager_attention_forward
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward as attention_with_cap
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward as attention_with_sinks

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
    softcap: float,  # c of c · tanh(score / c), which some models put around a score; 0 in most
    sinks: Array,  # [head], a score that takes its share of each row and is no key; -inf in most
) -> tuple[Array, Array]:
    """softmax(cap(q kᵀ · scale) + bias) v, where the mask allows it, by the library's own functions.

    Returns weights [head, query, key] and output [head, query, head_dim].
    """
    module: Any = torch.nn.Module().eval()  # of the layer, only these are read
    module.num_key_value_groups, module.sinks = 1, torch.tensor(sinks)
    function: Any = attention_with_sinks if np.isfinite(sinks).any() else eager_attention_forward
    if softcap:
        function = partial(attention_with_cap, softcap=softcap)
    output, weights = function(
        module,
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
