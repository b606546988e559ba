"""The trial run at opening: what is shown inside is what the library's own attention computes, or it is not shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import model
from model.catalog.permission import PICTURE_HALF
from model.errors import ModelError
from tests.model.huggingface.small_models import SPECIAL, TARGET, TEXT, save, tokenizer
from tests.model.huggingface.test_families import GROUPED, PAIR, SMALL
from tests.model.huggingface.test_layer_kinds import opened
from tests.model.huggingface.test_vision import PICTURES
from viz.language.messages import languages, message_catalog

LATENT = {**SMALL, "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8}
LATENT |= {"qk_rope_head_dim": 8, "v_head_dim": 6, "head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2}
LATENT |= {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 2, "moe_intermediate_size": 16}
CHOSEN = {**LATENT, "index_topk": 4, "index_n_heads": 2, "index_head_dim": 16}
SINKS = {**GROUPED, "head_dim": 8, "sliding_window": 4}
BIRD = {**PAIR, "attention_type": "original_full", "max_position_embeddings": 64}
WIDTHS = {**GROUPED, "head_dim": 8, "global_head_dim": 16, "num_global_key_value_heads": 1, "sliding_window": 4}
WIDTHS |= {"vocab_size_per_layer_input": 90, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0}
WIDTHS |= {"layer_types": ["sliding_attention", "full_attention"]}
RECURRENT = {**GROUPED, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8}
SQUEEZED = {**SMALL, "embedding_size": 32, "intermediate_size": 64}
# family: (model class, config class, sizes)
SHOWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "values of another width": ("DeepseekV3ForCausalLM", "DeepseekV3Config", LATENT),
    "chosen keys": ("DeepseekV32ForCausalLM", "DeepseekV32Config", CHOSEN),
    "sinks after the softmax": ("GraniteSWAForCausalLM", "GraniteSWAConfig", SINKS),
    "two maps in one layer": ("DiffLlamaForCausalLM", "DiffLlamaConfig", GROUPED),
    "no causal mask": ("BigBirdPegasusForCausalLM", "BigBirdPegasusConfig", BIRD),
    "head widths": ("Gemma4ForCausalLM", "Gemma4TextConfig", WIDTHS),
    "recurrent": ("RecurrentGemmaForCausalLM", "RecurrentGemmaConfig", RECURRENT),
}


def library_weights(folder: Path, name: str, ids: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """Weights [head, query, key] of each layer and logits [token, vocab] of the library's own eager run."""
    module = getattr(transformers, name).from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        result = module(torch.tensor([ids]), output_attentions=True, use_cache=False)
    weights = [one[0].numpy() for one in result.attentions if one is not None]
    return weights, result.logits[0].numpy()


@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_shown_is_what_the_library_computes(kind: str, tmp_path: Path) -> None:
    name = SHOWN[kind][0]
    lens = opened(tmp_path, *SHOWN[kind])
    assert lens.uses_interface
    trace = lens.trace(TEXT)
    attention = trace.attentions["decoder"]
    weights, logits = library_weights(tmp_path, name, trace.ids["decoder"])
    assert len(weights) == attention.num_layers
    for layer, expected in enumerate(weights):
        shown = attention.weights(layer)
        if kind == "sinks after the softmax":
            assert (shown.sum(-1) < 1 - 1e-3).any()
            shown = shown / shown.sum(-1, keepdims=True)
        np.testing.assert_allclose(shown, expected, atol=1e-4)
        assert not np.triu(shown, 1).any()
    np.testing.assert_allclose(trace.logits, logits, atol=1e-4 * max(1.0, float(abs(logits).max())))
    check = trace.verify()
    assert check.verdict == "proved", check.wrong_parts
    assert trace.output is not None
    assert [part.name for part in replace(trace, output=f"{trace.output} mat").verify().wrong_parts] == ["words"]


def test_keys_chosen_by_scores_that_tie_are_those_of_a_run_of_the_same_length(tmp_path: Path) -> None:
    """DeepSeek-V3.2 keeps some keys by a score that is 0 for many: which of them, hangs on the length of the text."""
    lens = opened(tmp_path, *SHOWN["chosen keys"])
    for part in lens.module.modules():
        if type(part).__name__ == "DeepseekV32Indexer":
            part.wk.weight.data.zero_()
            part.k_norm.weight.data.zero_()
            part.k_norm.bias.data.zero_()
    trace = lens.trace(TEXT)
    check = trace.verify()
    assert check.verdict == "proved", check.wrong_parts
    check_of = trace.run_check
    ids = list(check_of.keywords["output"])
    other = [(one + 1) % 30 + 5 for one in ids]
    wrong = partial(check_of.func, *check_of.args, **(check_of.keywords | {"output": other}))(trace)
    assert [part.name for part in wrong.wrong_parts] == ["words"]


def test_both_halves_of_differential_attention_are_in_its_values(tmp_path: Path) -> None:
    attention = opened(tmp_path, *SHOWN["two maps in one layer"]).trace(TEXT).attentions["decoder"]
    assert attention.layer_index == (0, 1)
    assert attention.value(0).shape[-1] == 2 * attention.key(0).shape[-1]


@pytest.mark.parametrize(
    ("name", "config", "sizes", "why"),
    [
        ("MambaForCausalLM", "MambaConfig", {"hidden_size": 32, "num_hidden_layers": 2}, "no attention"),
        ("SqueezeBertForMaskedLM", "SqueezeBertConfig", SQUEEZED, "does not sum to 1"),
        ("FNetForMaskedLM", "FNetConfig", SMALL, "no attention"),
        ("BrosModel", "BrosConfig", SMALL, "does not run on a text alone: it reads places on a page besides"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_in_a_sentence(
    name: str, config: str, sizes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=why):
        opened(tmp_path, name, config, sizes)


SPEECH = {
    "vocab_size": 72,
    "num_mel_bins": 8,
    "max_source_positions": 50,
    "max_target_positions": 40,
    **PAIR,
    **SPECIAL,
}
WAVES = {**SMALL, "conv_dim": (8, 8), "conv_stride": (2, 2), "conv_kernel": (2, 2), "num_feat_extract_layers": 2}
WAVES |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
BAND = {**SMALL, **SPECIAL, "vocab_size": 72, "attention_window": 4, "max_position_embeddings": 64}
PIECES = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 3}


@pytest.mark.parametrize(
    ("name", "config", "sizes", "readers", "reason"),
    [
        ("WhisperForConditionalGeneration", "WhisperConfig", SPEECH, ["sound"], "no_tokenizer"),
        ("WhisperForConditionalGeneration", "WhisperConfig", SPEECH, ["text"], "sound"),
        ("Wav2Vec2ForCTC", "Wav2Vec2Config", WAVES, ["sound"], "sound"),
        ("LongformerForMaskedLM", "LongformerConfig", BAND, ["text"], "windows"),
        ("SwinForImageClassification", "SwinConfig", PIECES, ["picture"], "windows"),
        ("BertForMaskedLM", "BertConfig", SMALL, [], "no_tokenizer"),
    ],
)
def test_a_refusal_says_what_headlight_reads(
    name: str, config: str, sizes: dict[str, Any], readers: list[str], reason: str, tmp_path: Path
) -> None:
    given = {
        "sound": transformers.WhisperFeatureExtractor(feature_size=8),
        "text": tokenizer(),
        "picture": transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}),
    }
    made = getattr(transformers, name)(getattr(transformers, config)(**sizes))
    save(made, tmp_path, *(given[one] for one in readers))
    with pytest.raises(ModelError) as refused:
        model.load(str(tmp_path), "cpu")
    assert refused.value.reason == reason
    for language in languages():
        assert message_catalog(language)["errors"][f"model_{reason}"]


def build_pair(folder: Path, family: str, sizes: dict[str, Any]) -> Path:
    """A small model of two encoders, one for texts and one for pictures."""
    pieces = tokenizer()
    torch.manual_seed(3)
    texts = {**SMALL, **SPECIAL, "vocab_size": len(pieces), "max_position_embeddings": 64, "projection_dim": 32}
    pictures = {**SMALL, "image_size": 24, "patch_size": 8, "projection_dim": 32}
    config = getattr(transformers, f"{family}Config")(text_config=texts, vision_config=pictures, **sizes)
    processor = transformers.ViTImageProcessorPil(size={"height": 24, "width": 24})
    return save(getattr(transformers, f"{family}Model")(config), folder, pieces, processor)


@pytest.mark.parametrize(("family", "first"), [("CLIP", ["[CLS]"]), ("Siglip", [])])
def test_both_halves_of_a_pair_of_encoders_are_opened(family: str, first: list[str], tmp_path: Path) -> None:
    folder = build_pair(tmp_path, family, {"projection_dim": 32} if family == "CLIP" else {})
    whole = getattr(transformers, f"{family}Model").from_pretrained(folder, attn_implementation="eager").eval()
    texts, pictures = model.load(str(folder), "cpu"), model.load(f"{folder}{PICTURE_HALF}", "cpu")
    assert (texts.takes, pictures.takes) == ("text", "image")
    trace = texts.trace(TEXT)
    assert ("other_half", type(whole.text_model).__name__) in trace.notes
    with torch.inference_mode():
        expected = whole.text_model(torch.tensor([next(iter(trace.ids.values()))]), output_attentions=True)
        seen = pictures.trace(PICTURES[0])
        pixels = pictures._inputs([PICTURES[0]], [None], None)[0]
        expected_picture = whole.vision_model(**pixels, output_attentions=True)
    for shown, theirs in ((trace, expected), (seen, expected_picture)):
        (attention,) = shown.attentions.values()
        for layer in range(2):
            np.testing.assert_allclose(attention.weights(layer), theirs.attentions[layer][0].numpy(), atol=1e-4)
        assert shown.verify().ok
    assert list(seen.tokens["encoder"].texts[: len(first)]) == first
    assert seen.tokens["encoder"].texts[len(first)] == "0,0"


def test_of_a_model_that_hears_and_reads_the_half_that_reads_is_shown(tmp_path: Path) -> None:
    pieces = tokenizer()
    texts = {**SMALL, **SPECIAL, "vocab_size": len(pieces), "max_position_embeddings": 64, "projection_dim": 32}
    sounds = {"depths": [1, 1], "num_attention_heads": [2, 2], "hidden_size": 32, "patch_embeds_hidden_size": 16}
    torch.manual_seed(3)
    whole = transformers.ClapModel(transformers.ClapConfig(text_config=texts, audio_config=sounds, projection_dim=32))
    trace = model.load(str(save(whole, tmp_path, pieces)), "cpu").trace(TEXT)
    assert ("sound_half", "ClapTextModel") in trace.notes
    assert trace.verify().ok


def test_a_family_whose_library_masks_differently_is_not_shown_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A formula that leaves something out is noticed when the model is opened, not by who looks at its maps."""
    from model.huggingface.recording import attention_interface

    whole = attention_interface.attention

    def without_scale(*args: Any, **options: Any) -> torch.Tensor:
        return whole(*args, **(options | {"scale": 2.0}))

    monkeypatch.setattr(attention_interface, "attention", without_scale)
    lens = opened(tmp_path, "LlamaForCausalLM", "LlamaConfig", GROUPED)
    assert not lens.uses_interface
    assert ("weights_only", "LlamaForCausalLM") in lens.trace(TEXT, target="").notes


def test_encoder_decoder_masks_hold_without_a_word_from_the_module(tmp_path: Path) -> None:
    sizes = {**PAIR, "num_experts": 2, "encoder_sparse_step": 0, "decoder_sparse_step": 0}
    trace = opened(tmp_path, "NllbMoeForConditionalGeneration", "NllbMoeConfig", sizes).trace(TEXT, target=TARGET)
    assert not np.triu(trace.attentions["decoder"].mask(0), 1).any()
