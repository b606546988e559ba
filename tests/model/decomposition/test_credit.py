"""Credit of a token's score, and one attention score split: the parts add up to the model's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import InputError
from model.trace.edits import Edits
from model.translator.translator import Translator
from tests.model.decomposition.families import TARGET, TEXT, small_model

CREDITED = ["gpt2", "gpt-neox", "llama", "qwen3", "granite", "gemma", "olmo2", "opt", "cohere", "bart", "marian", "t5"]
SPLIT = ["bert", "modernbert", "gpt2", "gpt-neox", "llama", "qwen3", "gemma2", "olmo2", "opt", "bart", "pegasus", "t5"]


@pytest.mark.parametrize("family", CREDITED)
def test_credit_adds_up_to_the_score(family: str) -> None:
    lens = small_model(family)
    trace = lens.trace(TEXT, TARGET if lens.is_encoder_decoder else None)
    assert trace.logits is not None
    credit = trace.credit(2, 7)
    assert credit.error < 1e-4 * max(1, abs(credit.logit))
    assert credit.logit == pytest.approx(trace.logits[2, 7], abs=1e-5)
    assert credit.parts.sum() == pytest.approx(trace.logits[2, 7], abs=1e-4)
    assert sum(source.head is not None for source in credit.sources) >= 8
    difference = trace.credit(2, 7, against=9)
    assert difference.parts.sum() == pytest.approx(trace.logits[2, 7] - trace.logits[2, 9], abs=1e-4)


def test_credit_of_the_translator(lens: Translator) -> None:
    trace = lens.trace("The cat saw the red car and the cat stopped.")
    assert trace.logits is not None
    token = int(trace.logits[3].argmax())
    credit = trace.credit(3, token)
    assert credit.parts.sum() == pytest.approx(trace.logits[3, token], abs=1e-4)
    assert [str(source) for source in credit.sources][:2] == ["token", "positions"]


def test_credit_of_a_head_is_what_it_adds_where_nothing_follows() -> None:
    """The last attention of a model whose norm is a division only: without that head the sum is less by its credit."""
    lens = small_model("llama")
    trace = lens.trace(TEXT)
    credit = trace.credit(4, 7)
    place = [str(source) for source in credit.sources].index("attention.1.2")
    stack = trace.blocks("decoder")
    silenced = lens.trace(TEXT, edits=Edits(heads={("decoder", 1, 2): 0.0})).blocks("decoder")
    adds = stack.layers[1].blocks[0].adds[4] - silenced.layers[1].blocks[0].adds[4]
    assert stack.final_norm is not None
    scale = stack.final_norm.scales(stack.states[-1][4])
    row = lens.module.lm_head.weight[7].detach().numpy()
    assert credit.parts[place] == pytest.approx(stack.final_norm.linear(adds, scale) @ row, abs=1e-5)


def test_capped_scores_are_credited_before_the_cap() -> None:
    trace = small_model("gemma2").trace(TEXT)
    assert trace.logits is not None
    credit = trace.credit(4, 7)
    assert np.tanh(credit.logit) == pytest.approx(trace.logits[4, 7], abs=1e-4)
    assert credit.parts.sum() == pytest.approx(credit.logit, abs=1e-4)


def test_heads_that_are_no_weighted_sum_are_refused() -> None:
    with pytest.raises(InputError, match="not a weighted sum"):
        small_model("bert").trace(TEXT).credit(2, 7)


@pytest.mark.parametrize("family", SPLIT)
def test_a_match_splits_into_its_sources(family: str) -> None:
    lens = small_model(family)
    trace = lens.trace(TEXT, TARGET if lens.is_encoder_decoder else None)
    for kind, attention in trace.attentions.items():
        for query, key in ((3, 2), (2, 0)):
            split = trace.why(kind, 1, 2, query, key)
            assert split.parts.shape == (len(split.queries), len(split.keys))
            assert split.parts.sum() == pytest.approx(split.score, abs=1e-4 * max(1, abs(split.score)))
            assert split.error == pytest.approx(abs(split.parts.sum() - split.score), abs=1e-9)
            if family != "gemma2":  # its scores are capped afterwards
                score = attention.layers[1].scores(False)[2, query, key]
                assert split.score == pytest.approx(score, abs=1e-4)


def test_sources_of_a_match(lens: Translator) -> None:
    trace = lens.trace("The cat saw the red car and the cat stopped.")
    split = trace.why("cross", 1, 3, 4, 2)
    assert {source.stack for source in split.query_sources} == {"decoder"}
    assert {source.stack for source in split.key_sources} == {"encoder"}
    assert "feed_forward.2" in split.keys  # the whole encoder is before the keys
    assert split.queries.count("attention.1") == 1
    assert "cross_attention.1" not in split.queries  # it is the attention that asks
    first = trace.why("encoder", 0, 0, 2, 1)
    assert set(first.queries) == {"token", "positions", "projection_bias"}


def test_rotation_is_part_of_the_match() -> None:
    """The same token at another distance: equal parts of the token, but another score."""
    trace = small_model("llama").trace("cat the the the the the")
    near, far = trace.why("decoder", 0, 1, 5, 4), trace.why("decoder", 0, 1, 5, 2)
    assert near.queries == far.queries
    assert near.score != pytest.approx(far.score, abs=1e-4)


def test_a_family_that_shows_weights_only_has_no_match() -> None:
    with pytest.raises(InputError):
        small_model("bloom").trace(TEXT).why("decoder", 1, 2, 3, 2)
