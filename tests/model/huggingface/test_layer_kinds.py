"""Layers that are not all alike: hybrids, several streams, caps and sinks, bands, masks that a library leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import model
from model.attention.formula import attention
from model.attention.masks import split_mask
from model.attention.record import record
from model.errors import InputError, ModelError
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from tests.model.huggingface.small_models import SPECIAL, TARGET, TEXT, save, tokenizer
from tests.model.huggingface.test_families import GROUPED, PAIR, SMALL

GEMMA3N = {
    **GROUPED,
    "head_dim": 8,
    "intermediate_size": [32] * 4,
    "num_hidden_layers": 4,
    "vocab_size_per_layer_input": 90,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 2,
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "laurel_rank": 4,
    "activation_sparsity_pattern": [0.0] * 4,
}
LONG_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}


def opened(folder: Path, module: str, config: str, sizes: dict[str, Any]) -> Any:
    """A small random model of a class, saved with a tokenizer and opened through the public door."""
    pieces = tokenizer()
    torch.manual_seed(3)
    made = getattr(transformers, module)(getattr(transformers, config)(vocab_size=len(pieces), **(SPECIAL | sizes)))
    return model.load(str(save(made, folder, pieces)), device="cpu")


def test_a_hybrid_names_the_layer_that_attends_and_says_what_the_others_are(tmp_path: Path) -> None:
    sizes = {**GROUPED, "num_hidden_layers": 4, "layer_types": ["conv", "conv", "full_attention", "conv"]}
    trace = opened(tmp_path, "Lfm2ForCausalLM", "Lfm2Config", sizes).trace(TEXT)
    assert trace.attentions["decoder"].num_layers == 1
    assert trace.attentions["decoder"].layer_index == (2,)
    assert ("other_layers", "conv: 0, 1, 3") in trace.notes
    assert trace.verify().ok


def test_of_several_streams_the_one_that_predicts_is_shown(tmp_path: Path) -> None:
    lens = opened(tmp_path, "Gemma3nForCausalLM", "Gemma3nTextConfig", GEMMA3N)
    trace = lens.trace(TEXT)
    result = lens.module(torch.tensor([trace.ids["decoder"]]), output_hidden_states=True)
    expected = result.hidden_states[2][0, 0].detach().numpy()  # stream 0 of the batch's only sentence
    np.testing.assert_allclose(trace.hidden_states["decoder"][2], expected, atol=1e-4)
    assert trace.verify().ok


def test_a_last_state_of_another_width_is_left_out_and_said(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 37}
    trace = opened(tmp_path, "OPTForCausalLM", "OPTConfig", {**sizes, "word_embed_proj_dim": 16}).trace(TEXT)
    assert trace.hidden_states["decoder"].shape == (2, len(trace.tokens["decoder"]), 32)
    assert ("narrow_state", "decoder") in trace.notes
    assert trace.verify().ok


def test_a_decoder_reads_all_that_its_encoder_answers(tmp_path: Path) -> None:
    # Its scores are not divided by √d_k: with sharper weights float32 rounds away every digit.
    sizes = {**LONG_T5, "num_experts": 2, "initializer_factor": 1 / 3}
    lens = opened(tmp_path, "SwitchTransformersForConditionalGeneration", "SwitchTransformersConfig", sizes)
    assert lens.trace(TEXT).verify().ok
    assert lens.decode(TEXT, Decoding("beam", beams=2)).tree


def test_a_band_is_refused_when_the_model_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sliding window"):
        opened(
            tmp_path, "LongformerForMaskedLM", "LongformerConfig",
            {**SMALL, "attention_window": 4, "max_position_embeddings": 64},
        )  # fmt: skip


def test_a_kind_that_is_not_shown_is_said(tmp_path: Path) -> None:
    lens = opened(tmp_path, "LongT5ForConditionalGeneration", "LongT5Config", {**LONG_T5, "local_radius": 3})
    trace = lens.trace(TEXT, target=TARGET)
    assert list(trace.attentions) == ["decoder", "cross"]
    assert ("kind_hidden", "encoder") in trace.notes


def test_a_model_of_sparse_blocks_reads_what_the_library_reads_in_full(tmp_path: Path) -> None:
    sizes = {**SMALL, "max_position_embeddings": 64, "block_size": 4, "num_random_blocks": 1}
    lens = opened(tmp_path, "BigBirdForMaskedLM", "BigBirdConfig", sizes)
    assert lens.config.attention_type == "block_sparse"
    assert (lens.full_tokens, lens.max_tokens) == (28, 48)
    trace = lens.trace(TEXT)
    module = transformers.BigBirdForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.inference_mode():  # the first pass swaps the attention, behind what collects its weights
        module(torch.tensor([trace.ids["encoder"]]))
        result = module(torch.tensor([trace.ids["encoder"]]), output_attentions=True)
    assert len(result.attentions) == 2
    for layer, expected in enumerate(result.attentions):
        np.testing.assert_allclose(trace.attentions["encoder"].weights(layer), expected[0], atol=1e-4)
    assert trace.verify().ok
    with pytest.raises(InputError) as caught:
        lens.trace("cat " * 30)
    assert caught.value.reason == "text_over_full"


def test_an_encoder_that_fills_a_text_up_to_whole_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fills a text up to whole blocks") as refused:
        opened(tmp_path, "PegasusXForConditionalGeneration", "PegasusXConfig", PAIR)
    assert refused.value.reason == "windows"


def test_a_decoder_never_looks_ahead_where_the_library_leaves_the_mask_out(tmp_path: Path) -> None:
    sizes = {**PAIR, "num_experts": 2, "encoder_sparse_step": 0, "decoder_sparse_step": 0}
    trace = opened(tmp_path, "NllbMoeForConditionalGeneration", "NllbMoeConfig", sizes).trace(TEXT, target=TARGET)
    for layer in range(trace.attentions["decoder"].num_layers):
        assert np.triu(trace.attentions["decoder"].weights(layer), 1).max() == 0
    assert trace.verify().ok


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("with_sinks", [False, True])
def test_cap_and_sinks_against_float64_by_hand(softcap: float | None, with_sinks: bool) -> None:
    torch.manual_seed(0)
    query, key = 2 * torch.randn(1, 4, 5, 8), 2 * torch.randn(1, 2, 5, 8)
    value = torch.randn(1, 2, 5, 6)  # values narrower than keys
    sinks = torch.randn(4) if with_sinks else None
    with record() as recorded:
        output = attention(
            query, key, value, kind="decoder", layer=0, causal=True, softcap=softcap, sinks=sinks, scale=0.5
        )
    q, k, v = (one.double().numpy()[0] for one in (query, key, value))
    scores = 0.5 * q @ np.repeat(k, 2, axis=0).transpose(0, 2, 1)
    scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
    scores[:, np.triu_indices(5, 1)[0], np.triu_indices(5, 1)[1]] = -np.inf
    raised = np.exp(scores)
    extra = np.exp(sinks.double().numpy())[:, None, None] if sinks is not None else 0.0
    weights = raised / (raised.sum(-1, keepdims=True) + extra)
    call = recorded.call("decoder", 0)
    np.testing.assert_allclose(call.weights(), weights, atol=1e-6)
    np.testing.assert_allclose(call.scores(), scores, atol=1e-5)
    np.testing.assert_allclose(output[0].numpy(), weights @ np.repeat(v, 2, axis=0), atol=1e-5)
    part = call.select(range(2, 4), [1, 3])
    np.testing.assert_allclose(part.weights(), weights[2:4][:, [1, 3]], atol=1e-6)
    seen = call.overview(5)
    safe = np.where(weights > 0, weights, 1)
    np.testing.assert_allclose(seen.entropy, -(weights * np.log2(safe)).sum(-1).mean(-1), atol=1e-5)


def test_a_mask_of_single_heads_forbids_for_those_heads_only() -> None:
    torch.manual_seed(0)
    mask = torch.rand(1, 4, 5, 5) > 0.4
    mask[..., 0] = True
    mask[:, :, 4, 3] = False  # for every head
    allowed, bias = split_mask(mask)
    query, key = torch.randn(1, 4, 5, 8), torch.randn(1, 4, 5, 8)
    with record() as recorded:
        output = attention(query, key, key, allowed, bias=bias, kind="encoder", layer=0)
    expected = torch.softmax((query @ key.transpose(-2, -1) / 8**0.5).masked_fill(~mask, -torch.inf), -1)
    call = recorded.call("encoder", 0)
    np.testing.assert_allclose(call.weights(), expected[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(output.numpy(), (expected @ key).numpy(), atol=1e-5)
    assert not call.array("allowed")[4, 3]
    assert call.array("allowed")[:, 0].all()


def test_an_edit_names_a_layer_of_a_hybrid_by_its_number_in_the_model(tmp_path: Path) -> None:
    kinds = ["conv", "full_attention", "conv", "full_attention"]
    lens = opened(tmp_path, "Lfm2ForCausalLM", "Lfm2Config", {**GROUPED, "num_hidden_layers": 4, "layer_types": kinds})
    before = lens.trace(TEXT, "").attentions["decoder"]
    assert before.layer_index == (1, 3)
    edits = Edits(uniform={("decoder", 3, 2)}, masks={("decoder", 1): "window2"}, blocked={("decoder", 4, 2, 3)})
    trace = lens.trace(TEXT, "", edits)
    after = trace.attentions["decoder"]
    assert trace.edits == edits
    assert trace.verify().ok
    assert not after.mask(0)[5, 0]
    assert before.mask(0)[5, 0]
    assert after.mask(1)[4, 1]
    assert not after.mask(1)[4, 2]
    row = after.weights(1)[2, 5]
    np.testing.assert_allclose(row[row > 0], row.max())
    silent = lens.trace(TEXT, "", Edits(heads={("decoder", 3, None): 0.0}))
    np.testing.assert_array_equal(silent.attentions["decoder"].weights(0), before.weights(0))
    assert silent.verify().ok
    for layer in (0, 2, 4):
        with pytest.raises(InputError) as unfit:
            lens.trace(TEXT, "", Edits(heads={("decoder", layer, 0): 0.0}))
        assert unfit.value.reason == "edits_unfit"


def test_layers_of_the_text_are_found_beside_a_larger_part_for_pictures(tmp_path: Path) -> None:
    vision = {**SMALL, "hidden_size": 64, "num_hidden_layers": 3, "image_size": 32, "patch_size": 16}
    text = {**GROUPED, **SPECIAL, "vocab_size": len(tokenizer())}
    config = transformers.Idefics2Config(
        vision_config=vision,
        text_config=transformers.MistralConfig(**text).to_dict() | {"model_type": "mistral"},
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_heads": 2,
            "resampler_depth": 1,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        image_token_id=3,
    )
    torch.manual_seed(0)
    save(transformers.Idefics2ForConditionalGeneration(config), tmp_path, tokenizer())
    lens = model.load(str(tmp_path), device="cpu")
    trace = lens.trace(TEXT)
    count = SMALL["num_hidden_layers"]
    assert len(trace.blocks("decoder").layers) == len(trace.neurons["decoder"]) == count
    found = lens.logit_lens(TEXT, None)
    assert found is not None
    assert len(found[0]) == count + 1
    assert np.abs(found[1][0] - found[1][-1]).max() > 1e-3  # each depth is read, not the last over and over
    assert trace.verify().ok


def test_a_causal_mask_that_is_built_of_the_mask_of_padding_alone(tmp_path: Path) -> None:
    config = transformers.Aimv2TextConfig(
        vocab_size=len(tokenizer()), **SMALL, max_position_embeddings=48, eos_token_id=2, pad_token_id=0
    )
    torch.manual_seed(0)
    save(transformers.Aimv2TextModel(config), tmp_path, tokenizer())
    trace = model.load(str(tmp_path), device="cpu").trace(TEXT)
    (attention,) = trace.attentions.values()
    assert attention.kind == "decoder"
    assert np.triu(attention.weights(0), 1).max() == 0
    assert trace.verify().ok


def test_layers_that_share_one_attention_keep_their_own_numbers(tmp_path: Path) -> None:
    sizes = {
        **SMALL,
        "num_hidden_layers": 5,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid", "hybrid"],
        "num_mem_blocks": 1,
        "num_key_value_heads": 4,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "mamba_headdim": 8,
        "n_mamba_heads": 8,
        "mamba_d_state": 8,
        "adapter_rank": 4,
    }
    lens = opened(tmp_path, "Zamba2ForCausalLM", "Zamba2Config", sizes)
    trace = lens.trace(TEXT)
    attention = trace.attentions["decoder"]
    assert attention.layer_index == (1, 3, 4)
    assert trace.verify().ok
    changed = lens.trace(TEXT, edits=Edits(heads={("decoder", 3, 0): 0.0}))  # of the three only the second
    np.testing.assert_array_equal(changed.hidden_states["decoder"][:4], trace.hidden_states["decoder"][:4])
    assert np.abs(changed.hidden_states["decoder"][4] - trace.hidden_states["decoder"][4]).max() > 1e-4
    assert changed.verify().ok


def test_a_model_of_pictures_and_texts_reads_a_text_alone(tmp_path: Path) -> None:
    axes = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
    pieces = tokenizer()
    config = transformers.Qwen2_5_VLConfig(
        text_config={**GROUPED, **SPECIAL, "vocab_size": len(pieces), "rope_parameters": axes},
        vision_config={"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 32},
        **{"image_token_id": 60, "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63},
    )
    torch.manual_seed(3)
    made = transformers.Qwen2_5_VLForConditionalGeneration(config)
    trace = model.load(str(save(made, tmp_path, pieces)), device="cpu").trace(TEXT)
    assert [note for note, _ in trace.notes] == ["also_pictures"]
    found = type(made).from_pretrained(tmp_path, attn_implementation="eager").eval()
    result = found(torch.tensor([trace.ids["decoder"]]), output_attentions=True)
    for layer, expected in enumerate(result.attentions):
        np.testing.assert_allclose(trace.attentions["decoder"].weights(layer), expected[0].detach(), atol=1e-5)
    assert trace.logits is not None
    np.testing.assert_allclose(trace.logits, result.logits[0].detach(), atol=1e-4)
    assert trace.verify().ok
