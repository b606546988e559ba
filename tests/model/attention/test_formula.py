"""The one formula: against PyTorch's own, against float64 by hand, and through the record."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.attention.formula import attention
from model.attention.record import record


def inputs(queries: int = 5, keys: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 3, queries, 8), torch.randn(2, 3, keys, 8), torch.randn(2, 3, keys, 8)
    mask = torch.rand(2, 1, queries, keys) > 0.4
    mask[..., 0] = True  # a row with nothing allowed has no softmax
    return q, k, v, mask


def by_hand(q: np.ndarray, k: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Softmax of the masked scores in float64, cell by cell. [query, key]"""
    weights = np.zeros((len(q), len(k)))
    for i in range(len(q)):
        powers = [math.exp(float(q[i] @ k[j]) / math.sqrt(q.shape[1])) if mask[i, j] else 0.0 for j in range(len(k))]
        weights[i] = np.array(powers) / sum(powers)
    return weights


def test_output_equals_pytorch() -> None:
    q, k, v, mask = inputs()
    ours = attention(q, k, v, mask, kind="encoder", layer=0)
    assert torch.equal(ours, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    assert torch.allclose(attention(q, k, v, kind="encoder", layer=0), F.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("row", [0, 1])
def test_recorded_weights_equal_the_float64_reference(row: int) -> None:
    q, k, v, mask = inputs()
    with record() as kept:
        output = attention(q, k, v, mask, kind="cross", layer=3)
    call = kept.call("cross", 3, row)
    weights = call.weights()
    for head in range(3):
        allowed = mask[row, 0].numpy()
        expected = by_hand(q[row, head].double().numpy(), k[row, head].double().numpy(), allowed)
        np.testing.assert_allclose(weights[head], expected, atol=1e-6)
        assert (weights[head][~allowed] == 0).all()  # exactly
        np.testing.assert_allclose(weights[head] @ v[row, head].numpy(), output[row, head].numpy(), atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert np.isneginf(call.scores()[:, ~mask[row, 0].numpy()]).all()


@pytest.mark.parametrize("masked", [True, False])
def test_heads_that_share_a_key_are_kept_once_and_shown_for_each(masked: bool) -> None:
    q, k, v, mask = inputs()
    q, k, v = torch.cat([q, q.flip(1)], 1), k[:, :2], v[:, :2]  # six heads, of which three share a key and a value
    repeated = [one.repeat_interleave(3, dim=1) for one in (k, v)]
    given = mask if masked else None
    with record() as kept:
        ours = attention(q, k, v, given, kind="decoder", layer=0)
        plain = attention(q, *repeated, given, kind="decoder", layer=1)
    assert torch.allclose(ours, plain, atol=1e-6)
    shared, own = kept.call("decoder", 0), kept.call("decoder", 1)
    assert shared.shape == own.shape == (6, 5, 7, 8)
    for name in ("query", "key", "value", "allowed", "bias"):
        np.testing.assert_array_equal(shared.array(name), own.array(name))
    np.testing.assert_array_equal(shared.weights(), own.weights())
    for head in range(6):  # one head alone finds the key that it shares
        drawn = shared.pooled(head, range(5), range(7), (5, 7))[0]  # NaN where the mask forbids
        np.testing.assert_allclose(np.nan_to_num(drawn), own.weights()[head], atol=1e-6)
    float_bytes = {call: sum(call.bytes_by_address.values()) - 5 * 7 for call in (shared, own)}
    assert float_bytes == {shared: 4 * 8 * (6 * 5 + 4 * 7), own: 4 * 8 * (6 * 5 + 12 * 7)}


def test_layers_with_the_same_mask_keep_it_once() -> None:
    q, k, v, mask = inputs()
    with record() as kept:
        for layer in range(3):
            attention(q, k, v, mask if layer < 2 else mask.clone(), kind="encoder", layer=layer)
    first, second, third = (kept.call("encoder", layer).bytes_by_address for layer in range(3))
    assert first == second  # q, k and v are the same tensors here, too
    assert len(third.keys() - first.keys()) == 1


def test_what_leaves_is_float32_and_read_only() -> None:
    q, k, v, mask = inputs()
    with record() as kept:
        attention(q.half(), k.half(), v.half(), mask, kind="cross", layer=0)
    weights = kept.call("cross", 0).weights()
    assert weights.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0, 0] = 1


def test_nothing_is_recorded_outside_the_block_or_by_another_thread() -> None:
    q, k, v, _ = inputs()
    with record() as kept:
        other = threading.Thread(target=lambda: attention(q, k, v, kind="encoder", layer=9))
        other.start()
        other.join()
        attention(q, k, v, kind="encoder", layer=0)
    attention(q, k, v, kind="encoder", layer=1)
    assert list(kept.calls) == [("encoder", 0)]
