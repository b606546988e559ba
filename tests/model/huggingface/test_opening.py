"""Models opened as they were saved: their own class, all weights used, adapters merged, what cannot be read refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import model
from model.errors import ModelError
from tests.model.huggingface.small_models import SPECIAL, TEXT, tokenizer
from tests.model.huggingface.test_families import PAIR, SMALL
from tests.model.huggingface.test_layer_kinds import opened

T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}


def test_a_classifier_answers_with_classes_beside_its_attention(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForSequenceClassification", "BertConfig", {**SMALL, "num_labels": 3})
    trace = lens.trace(TEXT)
    logits = lens.module(torch.tensor([trace.ids["encoder"]])).logits[0].detach()
    assert trace.classes is not None
    assert [label for label, _ in trace.classes] == [f"LABEL_{i}" for i in logits.argsort(descending=True).tolist()]
    assert trace.classes[0][1] == pytest.approx(float(logits.softmax(0).max()), abs=1e-5)
    assert trace.logits is None
    assert not lens.writes
    assert trace.verify().ok


def test_a_classifier_of_tokens_has_a_class_for_each(tmp_path: Path) -> None:
    trace = opened(tmp_path, "BertForTokenClassification", "BertConfig", {**SMALL, "num_labels": 5}).trace(TEXT)
    assert trace.classes is not None
    assert len(trace.classes) == len(trace.ids["encoder"])
    assert trace.verify().ok


def test_a_question_answerer_names_a_span(tmp_path: Path) -> None:
    trace = opened(tmp_path, "BertForQuestionAnswering", "BertConfig", SMALL).trace(TEXT)
    assert trace.classes is not None
    assert 0 < trace.classes[0][1] <= 1
    assert trace.verify().ok


def test_a_classifier_with_a_decoder_feeds_it_the_input(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BartForSequenceClassification", "BartConfig", {**PAIR, "num_labels": 3})
    trace = lens.trace(TEXT)
    assert trace.ids["decoder"] == (2, *trace.ids["encoder"][:-1])
    expected = lens.module(torch.tensor([trace.ids["encoder"]])).logits[0].detach().softmax(0)
    assert trace.classes is not None
    assert trace.classes[0][1] == pytest.approx(float(expected.max()), abs=1e-5)
    assert trace.verify().ok


def test_a_decoder_that_classifies_writes_nothing(tmp_path: Path) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4}
    lens = opened(tmp_path, "GPT2ForSequenceClassification", "GPT2Config", sizes)
    trace = lens.trace(TEXT)
    assert list(trace.tokens) == ["decoder"]
    assert trace.output is None
    assert trace.classes is not None
    assert trace.verify().ok


def test_two_heads_keep_the_one_that_guesses(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForPreTraining", "BertConfig", SMALL)
    trace = lens.trace(TEXT)
    ids = torch.tensor([trace.ids["encoder"]])
    ids[0, 1] = lens.tokenizer.mask_token_id
    expected = lens.module(ids).prediction_logits[0, 1].detach().numpy()
    np.testing.assert_allclose(lens.guess(TEXT, 1), expected, atol=1e-4)


def test_an_encoder_saved_alone_is_opened_alone(tmp_path: Path) -> None:
    trace = opened(tmp_path, "T5EncoderModel", "T5Config", T5).trace(TEXT)
    assert list(trace.attentions) == ["encoder"]
    assert trace.verify().ok


def build(folder: Path, module: str, config: str, sizes: dict[str, Any]) -> Path:
    """A small model in a folder, without opening it."""
    pieces = tokenizer()
    torch.manual_seed(3)
    made = getattr(transformers, module)(getattr(transformers, config)(vocab_size=len(pieces), **(SPECIAL | sizes)))
    made.save_pretrained(folder)
    pieces.save_pretrained(folder)
    return folder


def test_weights_of_a_layer_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    build(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    weights = load_file(tmp_path / "model.safetensors")
    weights["bert.encoder.layer.0.attention.self.distance_embedding.weight"] = torch.randn(9, 8)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 of its weights would not be used, such as .*distance_embedding"):
        model.load(str(tmp_path), device="cpu")


def test_weights_that_would_be_made_up_are_refused(tmp_path: Path) -> None:
    build(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["bert.encoder.layer.1.attention.self.query.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"its weights lack 1 parts, such as .*query.weight"):
        model.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("file", ["tokenizer.json", "model.safetensors", "pytorch_model.bin", "config.json"])
def test_a_file_that_is_cut_off_is_said_and_what_to_do(file: str, tmp_path: Path) -> None:
    build(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    if file == "pytorch_model.bin":
        torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / file)
        (tmp_path / "model.safetensors").unlink()
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="damaged") as refused:
        model.load(str(tmp_path), device="cpu")
    assert refused.value.reason == "files_damaged"


def test_quantised_weights_without_their_library_are_a_sentence(tmp_path: Path) -> None:
    build(tmp_path, "LlamaForCausalLM", "LlamaConfig", {**SMALL, "num_key_value_heads": 2})
    config = json.loads((tmp_path / "config.json").read_text())
    for settings in ({"quant_method": "bitsandbytes", "load_in_4bit": True}, {"load_in_8bit": True}):
        config["quantization_config"] = settings
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=r"quantised \(bitsandbytes\)"):
            model.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_is_merged(tmp_path: Path, alone: bool) -> None:
    base = build(tmp_path / "base", "GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 1, "n_head": 4})
    folder = tmp_path / "adapted"
    folder.mkdir()
    if not alone:
        shutil.copytree(base, folder, dirs_exist_ok=True)
    torch.manual_seed(1)
    lower, upper = torch.randn(4, 32), torch.randn(96, 4)
    name = "base_model.model.transformer.h.0.attn.c_attn."
    save_file({name + "lora_A.weight": lower, name + "lora_B.weight": upper}, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 4, "lora_alpha": 16}
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "fan_in_fan_out": True}))
    before, after = model.load(str(base), device="cpu"), model.load(str(folder), device="cpu")
    change = after.module.transformer.h[0].attn.c_attn.weight - before.module.transformer.h[0].attn.c_attn.weight
    np.testing.assert_allclose(change.detach().numpy(), (16 / 4 * upper @ lower).T.numpy(), atol=1e-5)
    assert ("adapter", "adapted") in after.trace(TEXT).notes


def adapted(folder: Path, tensors: dict[str, torch.Tensor], **settings: Any) -> Any:
    """A small GPT-2 with an adapter beside its weights, opened. tensors: of the adapter, by name"""
    build(folder, "GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 1, "n_head": 4})
    save_file({f"base_model.model.{name}": one for name, one in tensors.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 16, **settings}))
    return model.load(str(folder), device="cpu")


ATTENTION, LAST_NORM = "transformer.h.0.attn.", "transformer.ln_f.weight"
LOW = {
    f"{ATTENTION}c_proj.lora_{letter}.weight": torch.ones(*size)
    for letter, size in zip("AB", ((4, 32), (32, 4)), strict=True)
}


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({}, 16 / 4),  # the square matrix of a layer that keeps it transposed, whatever fan_in_fan_out says
        ({"alpha_pattern": {"c_proj": 2}}, 2 / 4),
        ({"alpha_pattern": {"attn.c_attn": 2}}, 16 / 4),
        ({"use_rslora": True}, 16 / 2),
    ],
)
def test_an_adapter_has_a_scale_for_each_layer(settings: dict[str, Any], scale: float, tmp_path: Path) -> None:
    base = build(tmp_path / "base", "GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 1, "n_head": 4})
    lower = torch.randn(4, 32)
    tensors = LOW | {f"{ATTENTION}c_proj.lora_A.weight": lower, LAST_NORM: torch.full((32,), 3.0)}
    after = adapted(tmp_path / "after", tensors, **settings).module
    change = (
        after.transformer.h[0].attn.c_proj.weight
        - model.load(str(base), "cpu").module.transformer.h[0].attn.c_proj.weight
    )
    np.testing.assert_allclose(change.detach(), scale * (torch.ones(32, 4) @ lower).T, atol=1e-4)
    assert (after.transformer.ln_f.weight == 3).all()  # trained whole, beside the matrices


@pytest.mark.parametrize(
    ("more", "settings", "said"),
    [
        ({}, {"init_lora_weights": "pissa_niter_4"}, "merge_and_unload"),
        ({}, {"use_dora": True}, "merge_and_unload"),
        ({f"{ATTENTION}c_proj.lora_B.bias": torch.ones(32)}, {}, "no LoRA matrices"),
        ({"transformer.wte.lora_embedding_A": torch.ones(4, 90)}, {}, "no LoRA matrices"),
        ({f"{ATTENTION}c_proj.lora_A.weight": torch.ones(4, 16)}, {}, "of another size"),
        ({LAST_NORM: torch.ones(16)}, {}, "of another size"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    more: dict[str, torch.Tensor], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        adapted(tmp_path, LOW | more, **settings)


def test_another_kind_of_adapter_is_refused(tmp_path: Path) -> None:
    build(tmp_path, "GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 1, "n_head": 4})
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    with pytest.raises(ModelError, match="merge_and_unload"):
        model.load(str(tmp_path), device="cpu")
