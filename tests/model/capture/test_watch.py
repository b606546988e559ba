"""Attention of modules in memory: equal to PyTorch's own, in every layout, and nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode

import model
from tests.model.capture.modules import HEADS, WIDTH, Block, Einsum, EncoderDecoder, HandWritten, Unseen
from viz.figures.heads import head_heatmap
from viz.figures.theme import LIGHT

PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
CAUSAL = torch.ones(5, 5).triu(1).bool()


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def x(batch: int = 2, tokens: int = 5) -> Tensor:
    return torch.randn(batch, tokens, WIDTH)


def encoder(**options: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("options", "masks"),
    [
        ({}, {}),
        ({}, {"key_padding_mask": PADDING}),
        ({}, {"attn_mask": CAUSAL}),
        ({}, {"attn_mask": CAUSAL, "key_padding_mask": PADDING}),
        ({}, {"attn_mask": torch.linspace(-2, 2, 25).view(5, 5)}),
        ({}, {"attn_mask": torch.eye(5).bool().expand(2 * HEADS, 5, 5)}),
        ({}, {"attn_mask": CAUSAL, "is_causal": True}),
        ({"add_bias_kv": True, "add_zero_attn": True}, {"attn_mask": CAUSAL, "key_padding_mask": PADDING}),
        ({"kdim": WIDTH, "vdim": 8, "bias": False}, {}),
    ],
)
def test_multi_head_attention_is_pytorchs_own(
    options: dict[str, Any], masks: dict[str, Any], batch_first: bool, need_weights: bool
) -> None:
    layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first, **options).eval()
    query = x() if batch_first else x(5, 2)
    value = query[..., : layer.vdim]
    own, expected = layer(query, query, value, average_attn_weights=False, **masks)
    with model.watch(layer) as run:
        output, averaged = layer(query, query, value, need_weights=need_weights, **masks)
    torch.testing.assert_close(output, own, atol=1e-6, rtol=1e-5)
    if need_weights:
        torch.testing.assert_close(averaged, expected.mean(1))
    assert run.calls[0].kind == ("decoder" if masks.get("attn_mask") is CAUSAL else "encoder")
    for item in range(2):
        (attention,) = run.select(item).values()
        weights = attention.weights(0)
        np.testing.assert_allclose(weights, expected[item].detach(), atol=1e-6)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
        assert (weights[:, ~attention.mask(0)] == 0).all()
        assert np.isneginf(attention.scores(0)[:, ~attention.mask(0)]).all()
    if options.get("add_bias_kv"):
        assert attention.key_tokens == ("0", "1", "2", "3", "4", "(bias)", "(zero)")


def test_a_call_without_a_batch() -> None:
    layer = nn.MultiheadAttention(WIDTH, HEADS).eval()
    query = x()[0]
    _, expected = layer(query, query, query, PADDING[1], average_attn_weights=False)
    with model.watch(layer) as run:
        layer(query, query, query, PADDING[1])
    np.testing.assert_allclose(run.attentions["encoder"].weights(0), expected.detach(), atol=1e-6)


@pytest.mark.parametrize("grad", [True, False])
def test_the_fast_path_of_an_encoder_is_left_out_while_it_is_watched(grad: bool) -> None:
    module, batch = encoder(), x()
    hooks = [len(part._forward_pre_hooks) + len(part._forward_hooks) for part in module.modules()]
    enabled = torch.backends.mha.get_fastpath_enabled()
    with torch.set_grad_enabled(grad):
        expected = module(batch, src_key_padding_mask=PADDING)
        with model.watch(module) as run:
            output = module(batch, src_key_padding_mask=PADDING)
        again = module(batch, src_key_padding_mask=PADDING)
    torch.testing.assert_close(output[~PADDING], expected[~PADDING], atol=1e-5, rtol=1e-5)
    assert torch.equal(again, expected)  # the path is back
    assert torch.backends.mha.get_fastpath_enabled() == enabled
    assert [len(part._forward_pre_hooks) + len(part._forward_hooks) for part in module.modules()] == hooks
    attention = run.select(1)["encoder"]
    assert (attention.num_layers, attention.layer_index) == (2, (0, 1))
    assert [call.path for call in run.calls] == ["layers.0.self_attn", "layers.1.self_attn"]
    assert not attention.weights(1)[..., 3:].any()


def test_a_transformer_has_three_kinds_also_where_both_sides_are_the_same_tensor() -> None:
    module = nn.Transformer(WIDTH, HEADS, 2, 2, 32, batch_first=True).eval()
    batch, mask = x(), nn.Transformer.generate_square_subsequent_mask(5)
    with model.watch(module, tokens={"encoder": list("abcde"), "decoder": list("vwxyz")}) as run:
        module(batch, batch, tgt_mask=mask, tgt_is_causal=True)
    assert list(run.attentions) == ["encoder", "decoder", "cross"]
    assert [run.attentions[kind].num_layers for kind in run.attentions] == [2, 2, 2]
    cross = run.attentions["cross"]
    assert (cross.query_tokens, cross.key_tokens) == (tuple("vwxyz"), tuple("abcde"))
    assert not np.triu(run.attentions["decoder"].weights(0), 1).any()


@pytest.mark.parametrize("block", [Block, HandWritten, Einsum])
def test_modules_of_ones_own(block: type[Block]) -> None:
    module, batch = EncoderDecoder(block).eval(), x()
    expected = module(batch, batch)
    with model.watch(module) as run:
        output = module(batch, batch)
    assert torch.equal(output, expected)
    own = "decoder" if block is not Einsum else "encoder"  # that one has no mask
    assert {call.path: call.kind for call in run.calls} == {
        **{f"encoder.{layer}": "encoder" for layer in range(2)},
        **{f"decoder.{layer}": own for layer in range(2)},
        **{f"cross.{layer}": "cross" for layer in range(2)},
    }
    cross = run.attentions["cross"]
    assert cross.has_vectors == (block is Block)
    for layer in range(2):
        np.testing.assert_allclose(cross.weights(layer).sum(-1), 1, atol=1e-6)
        if block is not Block:
            np.testing.assert_array_equal(cross.weights(layer), module.cross[layer].weights[0].detach())
    if block is Block:
        values = cross.weights(1) @ cross.value(1)
        assert values.shape == (HEADS, 5, WIDTH // HEADS)


def test_gradients_and_random_numbers_are_the_same() -> None:
    for make in (lambda: encoder(dropout=0.3).train(), lambda: HandWritten().train()):
        module, batch = make(), x()

        def gradient(watched: bool, module: Any = module, batch: Tensor = batch) -> tuple[list[Tensor], Any]:
            module.zero_grad()
            torch.manual_seed(1)
            if watched:
                with model.watch(module) as run:
                    module(batch).sum().backward()
                return [one.grad.clone() for one in module.parameters()], run
            module(batch).sum().backward()
            return [one.grad.clone() for one in module.parameters()], None

        plain, (seen, run) = gradient(False)[0], gradient(True)
        assert all(map(torch.equal, plain, seen))
        assert any("Dropout of" in note and "before it" in note for note in run.notes)
        assert "Dropout of" in repr(run)
        np.testing.assert_allclose(run.attentions["encoder"].weights(0).sum(-1), 1, atol=1e-6)


def expected_weights(q: Tensor, k: Tensor, options: dict[str, Any]) -> Tensor:
    """PyTorch's own weights: its outputs where the values are the identity."""
    identity = torch.eye(k.shape[-2]).expand(*k.shape[:-1], -1)
    return F.scaled_dot_product_attention(q.float(), k.float(), identity, **options)


LOW = torch.zeros(3, 4).masked_fill(torch.tensor([False, False, False, True]), -1e9)


@pytest.mark.parametrize(
    ("q_shape", "k_shape", "options"),
    [
        ((2, 4, 3, 8), (2, 4, 4, 8), {}),
        ((2, 4, 3, 8), (2, 4, 4, 8), {"scale": 0.3, "is_causal": True}),
        ((2, 4, 3, 8), (2, 4, 4, 8), {"attn_mask": torch.ones(3, 4).tril().bool()}),
        ((2, 4, 3, 8), (2, 4, 4, 8), {"attn_mask": torch.tensor([True, True, False, False])[None, None, None]}),
        ((2, 4, 3, 8), (2, 4, 4, 8), {"attn_mask": torch.linspace(-3, 3, 48).view(4, 3, 4)}),
        ((2, 4, 3, 8), (2, 4, 4, 8), {"attn_mask": LOW}),
        ((2, 4, 3, 8), (2, 2, 4, 8), {"enable_gqa": True}),
        ((2, 4, 3, 8), (1, 1, 4, 8), {}),
        ((2, 3, 8), (2, 4, 8), {}),
        ((3, 8), (4, 8), {}),
        ((2, 3, 4, 3, 8), (2, 3, 4, 4, 8), {"attn_mask": torch.rand(2, 1, 1, 3, 4)}),
    ],
)
def test_layouts_and_masks_of_the_fused_function(
    q_shape: tuple[int, ...], k_shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    class Attend(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, **options)

    q, k, module = torch.randn(q_shape), torch.randn(k_shape), Attend()
    with model.watch(module) as run:
        output = module(q, k, k)
    assert torch.equal(output, F.scaled_dot_product_attention(q, k, k, **options))
    expected = expected_weights(q, k, options)
    expected = expected[:, None] if q.dim() == 3 else expected[None, None] if q.dim() == 2 else expected
    expected = expected.flatten(0, expected.dim() - 4)
    assert run.calls[0].batch_size == len(expected)
    for item, wanted in enumerate(expected):
        (attention,) = run.select(item).values()
        np.testing.assert_allclose(attention.weights(0), wanted, atol=1e-6)
        assert (attention.weights(0)[:, ~attention.mask(0)] == 0).all()
    if options.get("attn_mask") is LOW:
        assert not attention.mask(0)[:, 3].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    module, batch = encoder().to(dtype), x().to(dtype)
    with model.watch(module) as run:
        module(batch)
    weights = run.attentions["encoder"].weights(0)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


def test_where_autocast_rounds_less_than_unwatched_is_said() -> None:
    module, batch = encoder().eval(), x()
    with torch.no_grad():
        exact = module(batch)
        with torch.autocast("cpu", torch.bfloat16):
            unwatched = module(batch)
            with model.watch(module) as run:
                watched = module(batch)
            assert any("bfloat16" in note and "autocast" in note for note in run.notes)
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                assert torch.equal(module(batch), watched)  # what differs is PyTorch's fused path alone
                with model.watch(module) as plain:
                    module(batch)
            finally:
                torch.backends.mha.set_fastpath_enabled(True)
        assert (watched - exact).abs().max() < (unwatched - exact).abs().max()
        with model.watch(module) as full:
            module(batch)
    with torch.autocast("cpu", torch.bfloat16), model.watch(module) as trained:
        module.train()(batch)
    for same in (plain, full, trained):  # as they compute unwatched
        assert not any("autocast" in note for note in same.notes)


def test_numbers_that_change_afterwards_are_not_shown() -> None:
    class Cached(nn.Module):
        def forward(self, q: Tensor, cache: Tensor) -> Tensor:
            output = F.scaled_dot_product_attention(q, cache, cache)
            cache.zero_()
            return output

    q, cache = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4)
    expected = expected_weights(q, cache, {})
    with model.watch(module := Cached()) as run:
        module(q, cache)
    np.testing.assert_allclose(run.attentions["cross"].weights(0), expected[0], atol=1e-6)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_as_long_as_each_item() -> None:
    class Attend(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            q = rows.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            return F.scaled_dot_product_attention(q, q, q)

    texts = [torch.randn(3, WIDTH), torch.randn(5, WIDTH)]
    rows = torch.nested.nested_tensor(texts, layout=torch.jagged)
    with model.watch(module := Attend()) as run:
        module(rows)
    for item, text in enumerate(texts):
        q = text.unflatten(-1, (HEADS, -1)).transpose(0, 1)
        np.testing.assert_allclose(
            run.select(item)["encoder"].weights(0), expected_weights(q[None], q[None], {})[0], atol=1e-6
        )


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_in_an_encoder_get_a_sentence() -> None:
    module, rows = encoder(), torch.nested.nested_tensor([x()[0], x()[0, :3]])
    with torch.no_grad(), pytest.raises(ValueError, match="src_key_padding_mask"), model.watch(module):
        module(rows)
    assert _get_current_function_mode() is None


def test_several_passes_and_layers_that_run_twice() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, rows: Tensor) -> Tensor:
            return self.block(self.block(rows))

    module = Shared()
    with model.watch(module) as run:
        module(x(1, 4))
        module(x(3, 6))
    first, last = run.select(forward_pass=0)["encoder"], run.attentions["encoder"]
    assert (first.num_layers, len(first.queries)) == (2, 4)
    assert (last.num_layers, len(last.queries)) == (2, 6)
    with pytest.raises(IndexError, match="passes 0 to 1; got forward_pass 2"):
        run.select(forward_pass=2)
    with pytest.raises(IndexError, match="items 0 to 2; got item 3"):
        run.select(3)


def test_stacks_that_differ_keep_apart() -> None:
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text, self.image = (nn.ModuleList(Block() for _ in range(2)) for _ in range(2))

        def forward(self, text: Tensor, image: Tensor) -> None:
            for one, other in zip(self.text, self.image, strict=True):
                text, image = one(text), other(image)

    with model.watch(module := Towers(), tokens=list("abc")) as run:
        module(x(2, 3), x(2, 9))
    assert list(run.attentions) == ["encoder text.*", "encoder image.*"]
    assert run.attentions["encoder text.*"].key_tokens == ("a", "b", "c")
    assert run.attentions["encoder image.*"].key_tokens == tuple("012345678")
    with pytest.raises(KeyError, match=r"no attention 'encoder' here; there is 'encoder text.\*'"):
        run.attentions["encoder"]


def test_nested_watching_and_a_part_of_a_model() -> None:
    module = EncoderDecoder()
    with model.watch(module) as whole, model.watch(module.cross) as part:
        module(x(), x())
    assert len(whole.calls) == 6
    assert [call.path for call in part.calls] == ["0", "1"]
    np.testing.assert_array_equal(part.attentions["cross"].weights(1), whole.attentions["cross"].weights(1))


def test_threads_see_their_own_passes() -> None:
    module, runs, barrier = EncoderDecoder().eval(), {}, threading.Barrier(2)

    def work(tokens: int) -> None:
        with model.watch(module) as run:
            barrier.wait(60)
            module(x(1, tokens), x(1, tokens))
            barrier.wait(60)
        runs[tokens] = run

    threads = [threading.Thread(target=work, args=(tokens,)) for tokens in (3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for tokens, run in runs.items():
        assert len(run.calls) == 6
        assert {call.forward_pass for call in run.calls} == {0}
        assert len(run.attentions["encoder"].queries) == tokens


def test_an_error_leaves_nothing_behind() -> None:
    module = encoder()
    with pytest.raises(AssertionError, match="expecting embedding dimension"), model.watch(module):
        module(torch.randn(2, 5, WIDTH + 1))
    assert _get_current_function_mode() is None
    assert not module._forward_pre_hooks


def test_no_pass_is_recorded_outside_of_a_block() -> None:
    module = encoder()
    with model.watch(module) as run:
        module(x())
    module(x())
    assert len(run.calls) == 2
    assert _get_current_function_mode() is None


def test_what_is_checkpointed_is_recorded_once() -> None:
    class Checkpointed(Block):
        def forward(self, rows: Tensor, *args: Any, **options: Any) -> Tensor:
            return torch.utils.checkpoint.checkpoint(super().forward, rows, use_reentrant=False)

    with model.watch(module := Checkpointed()) as run:
        module(x()).sum().backward()
    assert len(run.calls) == 1


def test_a_compiled_module_runs_as_it_was_written() -> None:
    plain = encoder()
    module = torch.compile(plain, backend="eager")
    with model.watch(module) as run, torch.no_grad():
        module(x())
    assert [call.path for call in run.calls] == ["layers.0.self_attn", "layers.1.self_attn"]


@pytest.mark.parametrize(
    ("make", "use", "sentence"),
    [
        (
            Unseen,
            lambda module: module(x()),
            "No attention was seen in Unseen. Seen are F.scaled_dot_product_attention",
        ),
        (Block, lambda module: None, "It was not called inside the block"),
        (nn.Identity, lambda module: Block()(module(x())), "1 attention calls were made by other modules"),
        (lambda: torch.jit.trace(Block(), x()), lambda module: module(x()), "TorchScript"),
        (lambda: nn.DataParallel(nn.Identity()), lambda module: module(x()), "threads of its own"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning")
def test_nothing_seen_is_said(make: Callable[[], Any], use: Callable[[Any], Any], sentence: str) -> None:
    with model.watch(module := make()) as run:
        use(module)
    for read in (lambda: run.attentions, lambda: run.calls, run.select):
        with pytest.raises(LookupError) as raised:
            read()
        assert sentence in str(raised.value)
        assert "MultiHeadAttention" in str(raised.value)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_calls_that_cannot_be_recorded_are_said() -> None:
    module = Block().to("meta")
    with pytest.warns(UserWarning, match="holds no numbers"), model.watch(module) as run:
        module(x().to("meta"))
    with pytest.raises(LookupError, match="Its tensors are on the device 'meta'"):
        run.calls  # noqa: B018
    with pytest.warns(UserWarning, match=r"torch.func"), model.watch(plain := Block()) as run:
        torch.func.vmap(plain)(x()[None])


@pytest.mark.parametrize(
    ("tokens", "error", "sentence"),
    [
        ("abcde", TypeError, "tokens are a list of names, such as"),
        ([], TypeError, "got []"),
        ({"both": ["a"]}, ValueError, "tokens are named for 'both'"),
        ({"encoder": ["a"], "decoder": [["a"]]}, ValueError, "one list of names for one stack"),
    ],
)
def test_names_that_are_none(tokens: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as raised, model.watch(Block(), tokens):
        pass
    assert sentence in str(raised.value)


def test_names_of_tokens() -> None:
    module = Block()

    def seen(tokens: Any) -> Any:
        with model.watch(module, tokens=tokens) as run:
            module(x())
        return run

    assert seen(None).attentions["encoder"].key_tokens == tuple("01234")
    assert seen(list("abcde")).attentions["encoder"].query_tokens == tuple("abcde")
    each = seen([list("abcde"), list("uvw")])
    assert each.select(1)["encoder"].key_tokens == ("u", "v", "w", "<pad>", "<pad>")
    for tokens, sentence in [
        (list("abc"), "tokens has 3 names, and there are 5 tokens"),
        ({"encoder": list("abc")}, "tokens names 3 tokens of the encoder, which has 5"),
        ([list("abcde")], "names for 1 items of the batch, and none for item 1"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            seen(tokens).select(1)


def test_what_is_no_module() -> None:
    with pytest.raises(TypeError, match=r"takes a torch.nn.Module or a layer of Keras 3; got 3"), model.watch(3):
        pass


def test_figures_draw_what_was_watched() -> None:
    module = EncoderDecoder(HandWritten).eval()
    with model.watch(module, tokens=["The", "cat", "saw", "the", "cat"]) as run:
        module(x(), x())
    for attention in run.attentions.values():
        figure = head_heatmap(attention, 1, 2, LIGHT)
        drawn = np.array(figure.data[0].z, float)
        mask, weights = attention.mask(1), attention.weights(1)[2]
        np.testing.assert_allclose(drawn[mask], weights[mask], atol=1e-6)
        assert attention.query_tokens[1] == "cat"
