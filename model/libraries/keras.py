"""Attention in Keras: the formula in `keras.ops`, and the layer that comes with the library."""

import os
from importlib.util import find_spec

import numpy as np

# Keras computes with another library, chosen before it is imported: the first that is installed.
engines = [name for name in ("torch", "tensorflow", "jax") if find_spec(name)]
os.environ.setdefault("KERAS_BACKEND", engines[0] if engines else "torch")
os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")
os.environ.setdefault("KERAS_HOME", os.devnull)  # else it leaves a file in your home directory

import keras
from keras import ops

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
    q, k, v = (ops.convert_to_tensor(array) for array in (query, key, value))
    scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) * scale
    if softcap:
        scores = softcap * ops.tanh(scores / softcap)
    scores = ops.where(mask, scores + ops.convert_to_tensor(bias), -np.inf)
    sink = ops.broadcast_to(ops.convert_to_tensor(sinks)[:, None, None], (len(sinks), len(mask), 1))
    weights = ops.softmax(ops.concatenate([scores, sink], axis=-1), axis=-1)[..., :-1]
    return ops.convert_to_numpy(weights), ops.convert_to_numpy(ops.matmul(weights, v))


def layer(
    query_input: Array,  # [query, d]
    key_input: Array,  # [key, d], the same tokens in self-attention
    w: Array,  # W_Q, W_K, W_V, W_O, used as x W + b; [4, d, d]
    b: Array,  # [4, d]
    num_heads: int,
    mask: Array,  # bool [query, key], True where a query may look
) -> tuple[Array, Array]:
    """`keras.layers.MultiHeadAttention` with given matrices.

    Returns weights [head, query, key] and output [query, d].
    """
    d = query_input.shape[1]
    split = (num_heads, d // num_heads)  # the library gives the heads an axis of their own
    attention = keras.layers.MultiHeadAttention(num_heads, key_dim=d // num_heads)
    attention.build((1, *query_input.shape), (1, *key_input.shape))
    arrays = []
    for number in range(3):  # queries, keys, values
        arrays += [w[number].reshape(d, *split), b[number].reshape(split)]
    attention.set_weights([*arrays, w[3].reshape(*split, d), b[3]])
    output, weights = attention(
        query=query_input[None],  # a batch of one sentence
        value=key_input[None],
        attention_mask=mask[None],
        return_attention_scores=True,
    )
    return ops.convert_to_numpy(weights)[0], ops.convert_to_numpy(output)[0]
