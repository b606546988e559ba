"""A module that is already in memory shows what the same module shows when it is opened from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import model
from model.errors import ModelError
from tests.model.huggingface.small_models import SPECIAL, TEXT, save, sharpen, tokenizer

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}


@pytest.mark.parametrize(
    ("family", "sizes", "kind"),
    [
        ("BertForMaskedLM", SMALL, "encoder"),
        ("LlamaForCausalLM", SMALL | {"num_key_value_heads": 2}, "decoder"),
        ("T5ForConditionalGeneration", T5, "cross"),
    ],
)
def test_a_module_in_memory_is_the_module_of_a_folder(
    tmp_path: Path, family: str, sizes: dict[str, int], kind: str
) -> None:
    pieces = tokenizer()
    opener = getattr(transformers, family)
    torch.manual_seed(3)
    module = opener(opener.config_class(vocab_size=len(pieces), **SPECIAL, **sizes))
    opened = model.load(str(save(module, tmp_path, pieces)), device="cpu").trace(TEXT)
    logits = {"input_ids": torch.tensor([opened.ids["encoder" if kind == "cross" else kind]])}
    if kind == "cross":
        logits["decoder_input_ids"] = torch.tensor([opened.ids["decoder"]])
    with torch.no_grad():
        before = module.eval()(**logits).logits

    lens = model.wrap(module.train(), pieces)
    trace = lens.trace(TEXT)
    assert lens.module is module
    assert trace.verify().ok
    for layer in range(2):
        np.testing.assert_allclose(
            trace.attentions[kind].weights(layer), opened.attentions[kind].weights(layer), atol=1e-6
        )
    with torch.no_grad():
        torch.testing.assert_close(module(**logits).logits, before, atol=1e-5, rtol=1e-5)


def test_a_picture_model_in_memory() -> None:
    torch.manual_seed(0)
    module = sharpen(transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **SMALL)))
    lens = model.wrap(module, transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}))
    trace = lens.trace(Image.new("RGB", (32, 32), "red"))
    assert lens.takes == "image"
    assert len(trace.attentions["encoder"].query_tokens) == 17
    assert trace.verify().ok


def test_what_is_no_transformer_is_refused() -> None:
    with pytest.raises(ModelError, match="this is a Linear"):
        model.wrap(torch.nn.Linear(2, 2), tokenizer())
    with pytest.raises(ModelError, match="ResNetModel cannot be shown: it does not run on a short input"):
        model.wrap(transformers.ResNetModel(transformers.ResNetConfig()), tokenizer())
    module = transformers.BertModel(transformers.BertConfig(vocab_size=len(tokenizer()), **SMALL))
    module.encoder.layer[0].output.dense.bias.data[0] = float("nan")
    with pytest.raises(ModelError, match=r"encoder\.layer\.0\.output"):
        model.wrap(module, tokenizer())
