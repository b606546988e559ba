"""Choosing tokens: the same as Hugging Face's `generate` on the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import model
from model.generation.search import filtered_probabilities
from model.huggingface.generation import NEW_TOKENS, generate
from model.huggingface.text_model import TextModel
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.translator.translator import Translator
from tests.model.catalog.test_catalog import fetched
from tests.model.huggingface.test_families import TARGET, TEXT, build, opened  # noqa: F401


def generated(lens: TextModel, text: str, **options: object) -> tuple[int, ...]:
    """What the library writes, without marks."""
    ids = lens.tokenizer(text, return_tensors="pt")["input_ids"]
    end = lens.module.generation_config.eos_token_id
    ends = {*end} if isinstance(end, list) else {end}
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": 12, **options}
    out = lens.module.generate(ids, attention_mask=torch.ones_like(ids), forced_eos_token_id=None, **options)
    made = out[0, 1 if lens.is_encoder_decoder else ids.shape[1] :].tolist()
    return tuple(made[: next((i for i, one in enumerate(made) if one in ends), len(made))])


CASES = [
    ({}, Decoding(max_new_tokens=12)),
    ({"num_beams": 3}, Decoding("beam", beams=3, max_new_tokens=12)),
    ({"do_sample": True, "top_k": 0, "top_p": 0.8}, Decoding("sample", top_p=0.8, seed=5, max_new_tokens=12)),
    (
        {"do_sample": True, "top_k": 7, "temperature": 1.5},
        Decoding("sample", temperature=1.5, top_k=7, seed=5, max_new_tokens=12),
    ),
]


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "bart", "t5"])
@pytest.mark.parametrize(("options", "how"), CASES)
def test_writes_what_generate_writes(
    opened: dict[str, TextModel],  # noqa: F811
    family: str,
    options: dict[str, object],
    how: Decoding,
) -> None:
    lens = opened[family]
    torch.manual_seed(5)
    theirs = generated(lens, TEXT, **options)
    assert lens.decode(TEXT, how).ids == theirs


def test_smollm2_writes_what_generate_writes() -> None:
    lens = model.load(fetched("smollm2"), "cpu")
    assert isinstance(lens, TextModel)
    text = "The capital of France is"
    for options, how in CASES[:3]:
        torch.manual_seed(5)
        assert lens.decode(text, how).ids == generated(lens, text, **options)


def test_filters_are_over_the_whole_distribution() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    assert filtered_probabilities(logits, Decoding("sample", top_p=0.7))[0].tolist() == pytest.approx(
        [0, 0, 3 / 7, 4 / 7]
    )
    assert filtered_probabilities(logits, Decoding("sample", top_p=0.71))[0, 1] > 0
    assert filtered_probabilities(logits, Decoding("sample", top_k=1)).tolist() == [[0, 0, 0, 1]]
    cold = filtered_probabilities(logits, Decoding("sample", temperature=0.5))
    torch.testing.assert_close(cold, (logits * 2).softmax(-1))
    with pytest.raises(ValueError, match=r"top_p=0"):
        Decoding(top_p=0)


def test_the_translators_greedy_and_a_beam_of_one_agree(lens: Translator) -> None:
    text = "The cat sat on the chair because it was tired."
    greedy = lens.decode(text, Decoding(max_new_tokens=40))
    assert greedy.ended
    assert lens.decode(text, Decoding("beam", beams=1, max_new_tokens=40)).ids == greedy.ids
    assert lens.tokenizer.decode(list(greedy.ids)) == lens.trace(text).output
    beam = lens.decode(text, Decoding("beam", beams=4, max_new_tokens=40))
    assert {node.fate for node in beam.tree} == {"kept", "dropped", "ended"}
    kept = [node.depth for node in beam.tree if node.fate == "kept"]
    assert all(kept.count(depth) <= 4 for depth in set(kept))
    for place, node in enumerate(beam.tree):
        assert node.parent < place
        assert node.depth == (1 if node.parent < 0 else beam.tree[node.parent].depth + 1)
        assert node.parent < 0 or node.score <= beam.tree[node.parent].score


def test_decoded_ids_can_be_forced(lens: Translator) -> None:
    made = lens.decode("I see a tree.", Decoding("sample", temperature=2.0, seed=3))
    trace = lens.trace("I see a tree.", made.ids)
    assert trace.ids["decoder"][trace.prompt_length :] == made.ids
    assert trace.verify().ok


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bert", "albert", "bart", "t5"])
def test_the_last_row_of_the_logit_lens_is_the_model(opened: dict[str, TextModel], family: str) -> None:  # noqa: F811
    lens = opened[family]
    target = TARGET if lens.is_encoder_decoder else ""
    trace, layers = lens.trace(TEXT, target), torch.cat([*lens.layer_logits(TEXT, target)])
    assert layers is not None
    assert trace.logits is not None
    stack = "decoder" if lens.is_encoder_decoder else lens.single_stack
    assert len(layers) == len(trace.hidden_states[stack])
    np.testing.assert_allclose(layers[-1].numpy(), trace.logits, atol=1e-5)
    assert (layers[0] - layers[1]).abs().max() > 1e-3
    assert same_as_by_hand(lens, trace.hidden_states[stack][1], layers[1])


def same_as_by_hand(lens: TextModel, state: np.ndarray, logits: torch.Tensor) -> bool:
    """The model's own final norm and head on the state after layer 0, written out for two families."""
    heads = {"llama": lambda m, h: m.lm_head(m.model.norm(h)), "gpt2": lambda m, h: m.lm_head(m.transformer.ln_f(h))}
    head = heads.get(lens.config.model_type)
    return head is None or torch.allclose(head(lens.module, torch.tensor(state)), logits, atol=1e-5)


def test_logit_lens_of_the_translator(lens: Translator) -> None:
    trace, layers = lens.trace("I see a tree."), torch.cat([*lens.layer_logits("I see a tree.")])
    assert layers is not None
    np.testing.assert_allclose(layers[-1].numpy(), trace.logits, atol=1e-5)


@pytest.mark.parametrize("family", ["bert-base", "gpt2", "bart", None])
def test_heads_silenced_in_one_batch_equal_each_alone(
    opened: dict[str, TextModel],  # noqa: F811
    lens: Translator,
    family: str | None,
) -> None:
    lens_: Lens = opened[family] if family else lens
    target = TARGET if lens_.is_encoder_decoder else ""
    heads = [(kind, 1, head) for kind in lens_.heads for head in (0, 3)]
    edits = Edits(temperature={next(iter(lens_.heads)): 2.0})
    many, are_logits = lens_.outputs(TEXT, target, edits, heads)
    assert are_logits == (family != "bert-base")
    for row, head in enumerate(heads):
        alone, _ = lens_.outputs(TEXT, target, Edits(heads={head: 0.0}, temperature=edits.temperature))
        torch.testing.assert_close(many[row], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral"])
def test_a_trace_goes_on_from_its_own_pass_as_from_a_fresh_one(family: str, tmp_path: Path) -> None:
    build(family, tmp_path)
    lens = TextModel.open(tmp_path, "cpu")
    trace = lens.trace(TEXT)
    fresh = generate(lens, trace.ids["decoder"], Decoding(max_new_tokens=NEW_TOKENS), None)
    assert trace.output == lens.tokenizer.decode(fresh.ids, skip_special_tokens=True)
    assert trace.verify().ok
    assert trace.logits is not None
    assert np.isfinite(trace.logits).all()  # whoever writes on leaves the trace's own scores alone
