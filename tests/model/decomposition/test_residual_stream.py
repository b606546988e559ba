"""The residual stream box by box: of many families, against the model's own states, and broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.decomposition import residual_stream
from model.decomposition.observation import LayerCalls, find_layers
from model.decomposition.plans.block_plan import BlockPlan
from model.decomposition.residual_stream import _plans
from model.decomposition.sums import find_sum, is_close
from model.errors import InputError
from model.trace.boxes.stack import Block, Norm, Stack, StackLayer
from model.trace.boxes.stack_summary import summarize
from model.trace.edits import Edits
from model.translator.translator import Translator
from tests.model.decomposition.families import FAMILIES, TARGET, TEXT, new_model, small_model


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_add_up_to_the_models_own_states(family: str) -> None:
    lens = small_model(family)
    trace = lens.trace(TEXT, TARGET if lens.is_encoder_decoder else None)
    for name, states in trace.hidden_states.items():
        stack = trace.blocks(name)
        assert stack.explained
        assert stack.error < 1e-5
        np.testing.assert_allclose(stack.states[:-1], states[:-1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(stack.final, states[-1], rtol=1e-5, atol=1e-6)
    found = ", ".join(f"{block.kind} {block.norm} {block.reads}" for block in stack.layers[-1])
    assert found == FAMILIES[family][3]


def test_boxes_of_the_translator(lens: Translator) -> None:
    trace = lens.trace("The cat saw the red car and the cat stopped.")
    for name, kinds in (
        ("encoder", ["attention", "feed_forward"]),
        ("decoder", ["attention", "cross_attention", "feed_forward"]),
    ):
        stack = trace.blocks(name)
        assert stack.error < 1e-5
        assert [block.kind for block in stack.layers[2]] == kinds
        assert all(block.norm == "after" and block.sum_norm is not None for block in stack.layers[2])
        table = lens.positions().table
        assert table is not None
        assert stack.positions is not None
        np.testing.assert_allclose(stack.positions, table[: len(stack.positions)], atol=1e-5)
        neurons = stack.layers[1].blocks[-1].neurons
        assert neurons is not None
        np.testing.assert_array_equal(neurons, trace.neurons[name][1])
    kind, layer = stack.layers[1].blocks[1].attention or ("", -1)
    assert (kind, layer) == ("cross", 1)


@pytest.mark.parametrize("family", ["translator", "t5"])
def test_both_stacks_are_read_in_one_pass_and_planned_in_another(family: str, lens: Translator) -> None:
    opened = lens if family == "translator" else small_model(family)
    trace = opened.trace(TEXT, TARGET)
    passes: list[int] = []
    first = find_layers(opened.module.get_submodule("encoder"))[0]
    handle = first.register_forward_hook(lambda *_: passes.append(1))
    try:
        _plans.pop(opened.module, None)
        summaries = trace.block_summaries()
        assert len(passes) == 2
        trace.why("cross", 1, 0, 1, 1)  # reads both stacks as well
        assert len(passes) == 3
    finally:
        handle.remove()
    for stack, summary in summaries.items():
        for mine, theirs in zip(summary.layers[1], summarize(trace.blocks(stack)).layers[1], strict=True):
            np.testing.assert_array_equal(mine.share, theirs.share)


@pytest.fixture(scope="module")
def stacks(lens: Translator) -> list[Stack]:
    """A stack with norms of the sums, and one with norms before the boxes."""
    return [
        lens.trace("The cat saw the red car.").blocks("decoder"),
        small_model("llama").trace(TEXT).blocks("decoder"),
    ]


def without(stack: Stack, layer: int, blocks: tuple[Block, ...]) -> Stack:
    """The stack with other blocks in one layer."""
    layers = list(stack.layers)
    layers[layer] = StackLayer(blocks)
    return replace(stack, layers=tuple(layers))


def test_a_box_left_out_shows(stacks: list[Stack]) -> None:
    for stack in stacks:
        assert without(stack, 1, stack.layers[1].blocks[1:]).error > 1e-3


def test_two_boxes_swapped_show(stacks: list[Stack]) -> None:
    post_norm, pre_norm = stacks
    first, second, third = post_norm.layers[1].blocks
    assert without(post_norm, 1, (second, first, third)).error > 1e-3
    # Where boxes only add, their order within a layer cannot be seen in the sum, but boxes of two layers can.
    swapped = without(pre_norm, 0, pre_norm.layers[1].blocks)
    assert without(swapped, 1, pre_norm.layers[0].blocks).error > 1e-3


def test_a_norm_forgotten_shows(stacks: list[Stack]) -> None:
    post_norm, pre_norm = stacks
    first, *others = post_norm.layers[0].blocks
    assert without(post_norm, 0, (replace(first, sum_norm=None), *others)).error > 1e-3
    assert replace(pre_norm, final_norm=None).error > 1e-3


def test_positions_forgotten_show(stacks: list[Stack]) -> None:
    assert replace(stacks[0], positions=None).error > 1e-3


def test_parts_of_the_embedding() -> None:
    bert = small_model("bert").trace(TEXT).blocks("encoder")
    assert bert.embedding_norm is not None
    assert bert.other is not None  # the type of the only sentence
    assert np.ptp(bert.other, axis=0).max() == 0
    assert bert.positions is not None
    assert small_model("llama").trace(TEXT).blocks("decoder").positions is None  # its keys are turned instead
    granite = small_model("granite")
    stack = granite.trace(TEXT).blocks("decoder")
    words = granite.module.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_allclose(stack.embedding[1], 2 * words[granite.trace(TEXT).ids["decoder"][1]], rtol=1e-5)


def test_neurons_of_every_family() -> None:
    for family, width in (("llama", 48), ("gpt2", 128), ("bert", 48), ("opt", 48)):
        trace = small_model(family).trace(TEXT)
        (neurons,) = trace.neurons.values()
        assert neurons.shape == (2, len(trace.tokens[next(iter(trace.tokens))]), width)
    lens = small_model("llama")
    trace = lens.trace(TEXT)
    down = lens.module.model.layers[1].mlp.down_proj.weight.detach().numpy()
    adds = trace.blocks("decoder").layers[1].blocks[1].adds
    np.testing.assert_allclose(trace.neurons["decoder"][1] @ down.T, adds, rtol=1e-4, atol=1e-5)
    assert not small_model("qwen3-moe").trace(TEXT).neurons  # experts have neurons for the tokens they were sent only


def test_the_experts_that_were_chosen() -> None:
    stack = small_model("qwen3-moe").trace(TEXT).blocks("decoder")
    block = stack.layers[0].blocks[1]
    assert block.experts is not None
    ids, weights = block.experts
    assert ids.shape == weights.shape == (len(stack.final), 2)
    assert set(ids.flatten()) <= set(range(4))


def test_blocks_follow_edits() -> None:
    lens = small_model("llama")
    heads = {("decoder", 1, head): 0.0 for head in range(4)}
    stack = lens.trace(TEXT, edits=Edits(heads=heads)).blocks("decoder")
    assert [block.kind for block in stack.layers[1]] == ["attention", "feed_forward"]
    assert np.abs(stack.layers[1].blocks[0].adds).max() == 0
    assert np.abs(stack.layers[0].blocks[0].adds).max() > 0
    assert stack.error < 1e-5


@pytest.mark.parametrize("token", [0, 20, 39])
def test_states_of_many_tokens_differ_where_one_token_does(token: int) -> None:
    torch.manual_seed(0)
    states = torch.randn(40, 8)
    other = states.clone()
    assert is_close(states, other)
    other[token, 3] += 0.01
    assert not is_close(states, other)
    parts = [torch.randn(40, 8) for _ in range(5)]
    target = states + parts[1] + parts[4]
    assert find_sum(target, states, parts, 1e-5) == ((1, 1.0), (4, 1.0))
    target[token] += 1
    assert find_sum(target, states, parts, 1e-5) is None


def test_norms_are_measured() -> None:
    states = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    gain, shift = np.arange(8, dtype=np.float32), np.ones(8, np.float32)
    norm = Norm(gain, shift, centred=True, epsilon=1e-5)
    centred = states - states.mean(-1, keepdims=True)
    expected = centred / np.sqrt(states.var(-1, keepdims=True) + 1e-5) * gain + shift
    np.testing.assert_allclose(norm(states), expected, rtol=1e-5)
    parts = np.stack([states / 3, 2 * states / 3])
    np.testing.assert_allclose(norm.linear(parts, norm.scales(states)).sum(0) + shift, expected, rtol=1e-5)


def test_a_trace_without_a_model_says_so(lens: Translator) -> None:
    trace = replace(lens.trace("A cat."), take_apart=None)
    with pytest.raises(InputError, match="cannot be watched"):
        trace.blocks("encoder")


def test_how_a_model_is_built_is_read_off_a_short_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long text that takes longer than all the rest."""
    lens, lengths = new_model("llama"), set()
    right = residual_stream.plan_layer

    def watched(layer: LayerCalls, *more: Any) -> tuple[BlockPlan, ...]:
        assert layer.own.x is not None
        lengths.add(len(layer.own.x))
        return right(layer, *more)

    monkeypatch.setattr(residual_stream, "plan_layer", watched)
    trace = lens.trace(" ".join([TEXT] * 3))
    assert trace.blocks("decoder").explained
    assert lengths == {lens.dummy_inputs()["input_ids"].shape[1]}
    assert max(lengths) < len(trace.ids["decoder"])
