"""Alignment, divergence, likeness, rollout and flow, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.huggingface.text_model import TextModel
from model.maps import rollout
from model.measures import alignment, hidden_states, similarity, weight_scales
from model.measures.heads.head_effects import head_effects
from model.measures.probabilities import kl_divergence_bits, most_probable, probabilities
from model.trace.edits import Edits
from model.trace.layer_inputs import NotMultiHead
from model.trace.tokens import Tokens
from model.translator.translator import Translator
from tests.model.huggingface.test_families import TARGET, TEXT, opened  # noqa: F401


def tokens(text: str) -> Tokens:
    words = tuple(text.split())
    return Tokens(words, tuple(word.startswith("<") for word in words))


def test_alignment_pairs_what_both_share_and_drops_nothing() -> None:
    a, b = tokens("the red car stopped . </s>"), tokens("the car never stopped . </s>")
    assert alignment.align_tokens(a, b) == ((0, 0), (1, None), (2, 1), (None, 2), (3, 3), (4, 4), (5, 5))
    assert alignment.align_tokens(a, a) == tuple((i, i) for i in range(6))
    repeated = alignment.align_tokens(tokens("the cat the mat"), tokens("the mat"))
    assert {i for i, _ in repeated if i is not None} == {0, 1, 2, 3}
    assert {j for _, j in repeated if j is not None} == {0, 1}


def test_divergence_is_0_for_equal_and_1_for_disjoint_rows() -> None:
    p, q = np.array([[1.0, 0], [0.5, 0.5], [1, 0]]), np.array([[1.0, 0], [0.25, 0.75], [0, 1]])
    found = similarity.jensen_shannon(p, q)
    m = np.array([0.375, 0.625])
    by_hand = 0.5 * (0.5 * np.log2(0.5 / m)).sum() + 0.5 * (np.array([0.25, 0.75]) * np.log2([0.25, 0.75] / m)).sum()
    np.testing.assert_allclose(found, [0, by_hand, 1], atol=1e-12)


def test_rows_without_a_partner_are_nan_and_keys_without_one_count() -> None:
    rows, columns = ((0, 0), (1, None)), ((0, 0), (1, None), (None, 1))
    a, b = np.array([[0.5, 0.5], [1, 0]]), np.array([[0.5, 0.5]])
    found = similarity.row_divergence(a, b, rows, columns)
    assert found[0] == pytest.approx(0.5)
    assert np.isnan(found[1])


def test_a_run_differs_from_itself_by_exactly_0(lens: Translator) -> None:
    a, b = lens.trace(TEXT), lens.trace(TEXT, edits=Edits())
    for kind, attention in a.attentions.items():
        for layer in range(attention.num_layers):
            assert not (b.attentions[kind].weights(layer) - attention.weights(layer)).any()
    pairs = alignment.align_tokens(a.tokens["encoder"], b.tokens["encoder"])
    assert (
        np.abs(hidden_states.state_distance(a.hidden_states["encoder"], b.hidden_states["encoder"], pairs)).max()
        < 1e-12
    )


def test_a_head_is_most_like_itself(lens: Translator) -> None:
    attention = lens.trace(TEXT).attentions["encoder"]
    alike = similarity.head_similarity(attention, 1, 5)
    assert alike.shape == (3, 8)
    assert alike[1, 5] == 1
    assert np.unravel_index(alike.argmax(), alike.shape) == (1, 5)
    points, kept = similarity.head_coordinates(attention)
    assert points.shape == (3, 8, 2)
    assert 0 < kept <= 1


def test_of_a_long_text_some_rows_stand_for_all(lens: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    attention = lens.trace(TEXT).attentions["encoder"]
    assert similarity.query_stride(attention) == 1
    monkeypatch.setattr(similarity, "MAX_CELLS", 24 * len(attention.queries) * len(attention.keys) // 2)
    assert similarity.query_stride(attention) == 2
    by_hand = [
        1 - similarity.jensen_shannon(attention.weights(layer)[:, ::2], attention.weights(1)[5, ::2]).mean(-1)
        for layer in range(3)
    ]
    np.testing.assert_allclose(similarity.head_similarity(attention, 1, 5, 2), by_hand, atol=1e-6)
    points, _ = similarity.head_coordinates(attention, 2)
    assert points.shape == (3, 8, 2)
    assert not np.allclose(points, similarity.head_coordinates(attention)[0])


def test_scales() -> None:
    weights, allowed = np.array([[1.0, 0, 0], [0.5, 0.5, 0]]), np.array([[1, 0, 0], [1, 1, 0]], bool)
    np.testing.assert_allclose(weight_scales.apply_scale(weights, allowed, "uniform"), [[1, 0, 0], [1, 1, 0]])
    np.testing.assert_allclose(weight_scales.apply_scale(weights, allowed, "log")[1], [np.log10(0.5)] * 2 + [-4])
    assert weight_scales.apply_scale(weights, allowed, "weight") is weights


def test_the_sink_is_taken_out_and_said() -> None:
    keys = tokens("the cat sat </s>")
    kept, removed = weight_scales.drop_sink_tokens(np.array([[0.5, 0.1, 0.3, 0.1], [0.6, 0, 0, 0.4]]), keys)
    np.testing.assert_allclose(kept, [[0, 0.25, 0.75, 0], [0, 0, 0, 0]])
    assert removed == pytest.approx((0.6 + 1.0) / 2)


def test_rollout_multiplies_later_layers_from_the_left() -> None:
    first = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    second = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])
    assert not np.allclose(first @ second, second @ first)
    by_hand = [[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]]  # token 2 reads token 1, which has read token 0
    np.testing.assert_allclose([rollout.rollout([second, first], query) for query in range(3)], by_hand)


def test_flow_shares_a_pipe_that_rollout_does_not() -> None:
    first = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    second = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(rollout.flow(np.stack([first, second]), 1, 2), [0.5, 0.5, 0.5])
    np.testing.assert_allclose(rollout.flow(np.stack([first, second]), 0, 1), first[1])


def test_value_norms_are_lengths_of_what_each_key_adds(lens: Translator) -> None:
    trace = lens.trace("The red car stopped.")
    attention, layer, head = trace.attentions["cross"], 1, 3
    w_o = trace.multi_head("cross", layer).w_o
    assert w_o is not None
    rows = w_o[head * 32 : (head + 1) * 32]
    weights, value = attention.weights(layer)[head], attention.value(layer)[head]
    found = weight_scales.value_norms(weights, value, rows)
    matrix = lens.module.decoder[layer].cross_attention.w_o.weight[:, head * 32 : (head + 1) * 32].detach().numpy()
    for query, key in ((0, 0), (2, 3)):
        assert found[query, key] == pytest.approx(np.linalg.norm(weights[query, key] * matrix @ value[key]), rel=1e-4)


@pytest.mark.parametrize("family", ["llama", "mistral", "t5", "bert", "gpt2"])
def test_w_o_is_found_also_where_the_whole_layer_is_not(opened: dict[str, TextModel], family: str) -> None:  # noqa: F811
    lens = opened[family]
    trace = lens.trace(TEXT, TARGET if lens.is_encoder_decoder else "")
    kind = next(iter(trace.attentions))
    found = trace.multi_head(kind, 1)
    assert isinstance(found, NotMultiHead) == (family in ("llama", "mistral", "t5"))
    attention = trace.attentions[kind]
    assert found.w_o is not None
    assert found.w_o.shape[0] == attention.num_heads * attention.head_dim


def test_w_o_is_found_under_scaled_heads(lens: Translator) -> None:
    for factor in (0.0, 0.5, -2.0):
        found = lens.trace("The red car stopped.", edits=Edits(heads={("cross", 1, 3): factor})).multi_head("cross", 1)
        assert isinstance(found, NotMultiHead)
        assert found.w_o is not None
        np.testing.assert_array_equal(found.w_o.T, lens.module.decoder[1].cross_attention.w_o.weight.detach().numpy())


def test_kl_divergence_and_probabilities_agree_with_torch() -> None:
    torch.manual_seed(0)
    before, after = torch.randn(2, 5, 11)
    ours = kl_divergence_bits(before.numpy(), after.numpy())
    theirs = torch.nn.functional.kl_div(
        after.log_softmax(-1), before.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1) / np.log(2)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    assert kl_divergence_bits(before.numpy(), before.numpy()).max() == 0
    np.testing.assert_allclose(probabilities(before.numpy()), before.softmax(-1).numpy(), atol=1e-6)
    assert most_probable(np.array([0.1, 0.5, 0.4]), 2).tolist() == [1, 2]


def test_the_alignment_head_matters_most_in_translation(lens: Translator) -> None:
    trace = lens.trace("The white horse follows the black horse.")
    effects, are_words = head_effects(lens, trace.text, trace.ids["decoder"][1:])
    assert are_words
    assert np.unravel_index(effects["cross"].argmax(), (3, 8)) == (0, 3)
    alone, _ = lens.outputs(trace.text, trace.ids["decoder"][1:], Edits(heads={("cross", 0, 3): 0.0}))
    assert trace.logits is not None
    assert effects["cross"][0, 3] == pytest.approx(kl_divergence_bits(trace.logits, alone[0].numpy()).mean(), rel=1e-3)


def test_progress_ends_the_work_when_it_raises(lens: Translator) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        head_effects(lens, "I see.", progress=stop)
