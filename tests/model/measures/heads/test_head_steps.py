"""The steps of one head's computation end at the numbers of the run, also with a bias, another scale and a mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.attention.recorded_call import RecordedCall
from model.measures.heads.head_steps import HeadSteps, head_steps
from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.tokens import Tokens
from model.translator.translator import Translator

SENTENCE = "That that is, is."  # repeats a token


def family(scale: float, bias: bool) -> HeadSteps:
    """The steps of a made-up head of 4 keys and 8 dimensions; the last key is forbidden."""
    draw = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(1, 4, 8, generator=draw) for _ in range(3))
    allowed = torch.tensor([[True, True, True, False]] * 4)
    added = torch.randn(1, 4, 4, generator=draw) if bias else None
    tokens = Tokens(("a", "b", "a", "c"), (False,) * 4)
    call = RecordedCall(query, key, value, allowed, added, scale)
    return head_steps(Attention("encoder", tokens, tokens, 1, 8, (call,)), 0, 0, 2)


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_every_step_ends_at_the_numbers_of_the_run(lens: Translator, kind: str) -> None:
    attention = lens.trace(SENTENCE).attentions[kind]
    steps = head_steps(attention, 1, 3, 2)
    assert steps.divides_by_root
    assert not steps.has_bias
    assert steps.follows_scores
    assert steps.divisor == pytest.approx(32**0.5)
    assert max(steps.error, steps.dot_error, steps.output_error) < 2e-5
    for key in range(len(attention.keys)):
        sums = steps.running_sums(key)
        assert sums[0] == steps.products[key, 0]
        assert sums[-1] == pytest.approx(steps.dots[key], abs=1e-4)
        np.testing.assert_allclose(np.diff(sums), steps.products[key, 1:], atol=1e-6)
    np.testing.assert_allclose(steps.weights_at(steps.divisor), steps.weights, atol=1e-6)
    np.testing.assert_allclose(steps.exponentials() / steps.exponentials().sum(), steps.weights, atol=1e-6)
    np.testing.assert_allclose(steps.output, steps.weights @ attention.value(1)[3], atol=1e-5)


def test_another_divisor_sharpens_or_flattens_and_never_shows_what_is_masked(lens: Translator) -> None:
    steps = head_steps(lens.trace(SENTENCE).attentions["decoder"], 1, 3, 2)
    tops = [steps.weights_at(divisor).max() for divisor in (0.1, 1.0, steps.divisor, 1e3)]
    assert tops == sorted(tops, reverse=True)
    np.testing.assert_allclose(steps.weights_at(1e9), steps.allowed / steps.allowed.sum(), atol=1e-6)
    for divisor in (0.01, 1.0, 100.0):
        assert steps.weights_at(divisor).sum() == pytest.approx(1)
        assert not steps.weights_at(divisor)[~steps.allowed].any()


@pytest.mark.parametrize(("scale", "bias"), [(1.0, True), (1.0, False), (0.25, True), (8**-0.5, False)])
def test_a_family_with_another_scale_or_a_bias_is_told_right(scale: float, bias: bool) -> None:
    steps = family(scale, bias)
    assert steps.divides_by_root == (scale == 8**-0.5)
    assert steps.has_bias == bias
    assert steps.divisor == pytest.approx(1 / scale)
    scores = steps.dots.astype(np.float64) * scale + steps.bias
    expected = np.where(steps.allowed, np.exp(scores), 0)
    np.testing.assert_allclose(steps.weights, expected / expected.sum(), atol=1e-6)
    np.testing.assert_allclose(steps.weights_at(steps.divisor), steps.weights, atol=1e-6)
    assert max(steps.error, steps.dot_error, steps.output_error) < 1e-5
    # The bias stays as it is when only the divisor changes.
    halved = np.where(steps.allowed, np.exp(steps.dots * scale / 2 + steps.bias), 0)
    np.testing.assert_allclose(steps.weights_at(2 / scale), halved / halved.sum(), atol=1e-6)


def test_an_error_of_the_run_would_show() -> None:
    steps = family(1.0, True)
    wrong = replace(steps, weights=steps.weights[::-1].copy())
    assert not wrong.follows_scores


def test_weights_that_an_edit_sets_do_not_follow_from_the_scores(lens: Translator) -> None:
    edits = Edits(uniform=frozenset({("cross", 1, 3)}))
    steps = head_steps(lens.trace(SENTENCE, edits=edits).attentions["cross"], 1, 3, 2)
    assert not steps.follows_scores
    np.testing.assert_allclose(steps.weights, 1 / len(steps.weights), atol=1e-6)
    assert steps.output_error < 1e-5


def test_the_strongest_keys_are_those_of_the_largest_weights_and_the_chosen_one() -> None:
    steps = replace(family(1.0, False), weights=np.array([0.1, 0.5, 0.1, 0.3], np.float32))
    assert steps.strongest_keys(2, always=1) == [1, 3]
    assert steps.strongest_keys(2, always=2) == [1, 2]
    assert steps.strongest_keys(9, always=0) == [0, 1, 2, 3]


@pytest.mark.parametrize(("softcap", "sinks"), [(1.5, None), (None, torch.tensor([0.7])), (1.5, torch.tensor([0.7]))])
def test_a_cap_and_a_sink_are_steps_of_the_formula(softcap: float | None, sinks: torch.Tensor | None) -> None:
    draw = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(1, 4, 8, generator=draw) for _ in range(3))
    allowed = torch.tensor([[True, True, True, False]] * 4)
    tokens = Tokens(("a", "b", "a", "c"), (False,) * 4)
    call = RecordedCall(query, key, value, allowed, None, 0.9, softcap=softcap, sinks=sinks)
    steps = head_steps(Attention("encoder", tokens, tokens, 1, 8, (call,)), 0, 0, 2)
    assert steps.follows_scores
    assert max(steps.error, steps.dot_error, steps.output_error) < 1e-5
    np.testing.assert_allclose(steps.weights_at(steps.divisor), steps.weights, atol=1e-6)
    assert (steps.weights.sum() < 0.99) == (sinks is not None)
    assert (np.abs(steps.scaled).max() < 1.5) == (softcap is not None)
