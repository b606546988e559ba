"""The from-scratch model against `nn.Transformer`, and padding against no padding."""

from __future__ import annotations

import pytest
import torch

from model.attention.record import record
from model.positions.sinusoidal import sinusoidal
from model.translator.transformer import Config, Transformer
from model.verification.references.stock_transformer import run_reference

SOURCE = torch.tensor([[5, 6, 7, 8, 9, 6, 2], [10, 6, 2, 0, 0, 0, 0]])  # the second is padded
TARGET = torch.tensor([[1, 11, 12, 11], [1, 13, 14, 15]])


def test_equals_nn_transformer(tiny: Transformer) -> None:
    with torch.no_grad(), record() as kept:
        logits = tiny(SOURCE, TARGET)
    stock = run_reference(tiny, SOURCE, TARGET)
    stock_logits, stock_weights = stock.logits, stock.weights
    torch.testing.assert_close(logits, stock_logits, atol=1e-5, rtol=1e-5)
    assert set(stock_weights) == set(kept.calls)
    assert {kind: sum(k == kind for k, _ in stock_weights) for kind in ("encoder", "decoder", "cross")} == {
        "encoder": 3,
        "decoder": 2,
        "cross": 2,
    }
    for (kind, layer), expected in stock_weights.items():
        for row in range(2):
            weights = kept.call(kind, layer, row).weights_tensor()
            torch.testing.assert_close(weights, expected[row], atol=1e-6, rtol=1e-5)


def test_equals_nn_multihead_attention(tiny: Transformer) -> None:
    ours = tiny.encoder[1].self_attention
    stock = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    stock.in_proj_weight.data = torch.cat([ours.w_q.weight, ours.w_k.weight, ours.w_v.weight]).detach()
    stock.in_proj_bias.data = torch.cat([ours.w_q.bias, ours.w_k.bias, ours.w_v.bias]).detach()
    stock.out_proj.load_state_dict(ours.w_o.state_dict())
    torch.manual_seed(2)
    asking, asked = torch.randn(1, 3, 16), torch.randn(1, 6, 16)
    with torch.no_grad(), record() as kept:
        output = ours(asking, asked, None)
        expected, weights = stock(asking, asked, asked, average_attn_weights=False)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(kept.call("encoder", 1).weights_tensor(), weights[0], atol=1e-6, rtol=1e-5)


def test_a_changed_weight_is_noticed(tiny: Transformer) -> None:
    """The comparison above can fail: one weight off by a tenth, and it does."""
    stock_logits = run_reference(tiny, SOURCE, TARGET).logits
    weight = tiny.decoder[1].cross_attention.w_v.weight.data
    weight[0, 0] += 0.1
    try:
        with torch.no_grad():
            assert (tiny(SOURCE, TARGET) - stock_logits).abs().max() > 1e-4
    finally:
        weight[0, 0] -= 0.1


def test_padded_batch_equals_single_sentence(tiny: Transformer) -> None:
    with torch.no_grad():
        batch = tiny(SOURCE, TARGET)
        alone = tiny(SOURCE[1:, :3], TARGET[1:])
    torch.testing.assert_close(batch[1], alone[0], atol=1e-6, rtol=1e-5)


def test_padding_and_the_future_get_exactly_nothing(tiny: Transformer) -> None:
    with torch.no_grad(), record() as kept:
        tiny(SOURCE, TARGET)
    assert (kept.call("encoder", 0, 1).weights()[..., 3:] == 0).all()
    assert (kept.call("cross", 1, 1).weights()[..., 3:] == 0).all()
    assert kept.call("decoder", 1, 0).weights_tensor().triu(1).count_nonzero() == 0


def test_the_future_changes_nothing(tiny: Transformer) -> None:
    other = TARGET.clone()
    other[:, 3] = 20
    with torch.no_grad():
        torch.testing.assert_close(tiny(SOURCE, TARGET)[:, :3], tiny(SOURCE, other)[:, :3])


def test_embedding_is_scaled_and_gets_its_position(tiny: Transformer) -> None:
    expected = tiny.embedding.weight[5] * 4 + torch.from_numpy(sinusoidal(1, 16)[0]).float()
    torch.testing.assert_close(tiny.embed(SOURCE)[0, 0], expected)


def test_output_projection_is_the_embedding(tiny: Transformer) -> None:
    assert not [name for name, _ in tiny.named_parameters() if "project" in name]
    torch.testing.assert_close(tiny.project(torch.eye(16)[None])[0], tiny.embedding.weight.T)


def test_sizes_that_do_not_divide_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="10 and 4"):
        Config(50, d_model=10, num_heads=4)
