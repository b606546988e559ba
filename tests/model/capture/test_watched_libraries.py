"""Watched models of Hugging Face and Keras: the weights are those that the library returns itself."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import model
from model.libraries.keras import keras  # with PyTorch as its backend

IDS = torch.tensor([[1, 5, 7, 9, 2, 0, 0], [1, 5, 7, 9, 2, 3, 4]])
REAL = IDS > 0
SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertModel", SIZES),
    "gpt2": ("GPT2Model", {"n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}),
    "llama": ("LlamaModel", {**SIZES, "num_key_value_heads": 2}),
    "t5": ("T5Model", {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}),
    "deepseek_v2": (
        "DeepseekV2Model",  # its queries and its keys are projected twice
        {
            **SIZES,
            "num_key_value_heads": 4,
            "kv_lora_rank": 8,
            "q_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
            "first_k_dense_replace": 2,
        },
    ),
    "gpt_oss": (
        "GptOssModel",  # with sinks
        {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
    ),
    "deberta-v2": ("DebertaV2Model", {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
}
OUTPUTS = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}


def build(name: str) -> Any:
    torch.manual_seed(0)
    cls, sizes = FAMILIES[name]
    config = transformers.AutoConfig.for_model(name, vocab_size=50, pad_token_id=0, **sizes)
    return getattr(transformers, cls)(config).eval()


@pytest.mark.parametrize(
    ("name", "implementation"),
    [
        *((name, how) for name in ("bert", "gpt2", "llama", "t5", "deepseek_v2") for how in ("sdpa", "eager")),
        ("gpt_oss", "eager"),
        ("deberta-v2", "eager"),
    ],
)
@torch.no_grad()
def test_a_hugging_face_model(name: str, implementation: str) -> None:
    module = build(name)
    if implementation != module.config._attn_implementation:
        module.set_attn_implementation(implementation)
    inputs = {"input_ids": IDS, "attention_mask": REAL.long()}
    if name == "t5":
        inputs["decoder_input_ids"] = IDS
    expected = module(**inputs)[0]
    with model.watch(module) as run:
        output = module(**inputs)[0]
    assert torch.equal(output, expected)
    if implementation == "sdpa":
        module.set_attn_implementation("eager")
    own = module(**inputs, output_attentions=True)
    weights = {kind: own[key] for kind, key in OUTPUTS.items() if own.get(key)}
    single = "encoder" if name in ("bert", "deberta-v2") else "decoder"
    weights = weights or {single: own.attentions}
    assert run.attentions.keys() == weights.keys()
    for item in range(2):
        for kind, attention in run.select(item).items():
            assert attention.has_vectors == (implementation == "sdpa")
            queries = REAL[item] if kind != "decoder" and name != "t5" else torch.ones(7, dtype=torch.bool)
            for layer in range(2):
                wanted = weights[kind][layer][item]
                np.testing.assert_allclose(attention.weights(layer)[:, queries], wanted[:, queries], atol=1e-6)
                if kind != "decoder" or name != "t5":
                    assert not attention.weights(layer)[:, queries][..., ~REAL[item]].any()


@torch.no_grad()
def test_text_that_a_model_writes_is_a_pass_a_token() -> None:
    module = transformers.GPT2LMHeadModel(build("gpt2").config).eval()
    with model.watch(module, tokens=list("abcdefghij")[:9]) as run:
        ids = module.generate(IDS[1:], max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert {call.kind for call in run.calls} == {"decoder"}
    attention = run.attentions["decoder"]
    assert (attention.query_tokens, attention.key_tokens) == (("i",), tuple("abcdefghi"))
    with model.watch(module) as whole:
        module(ids[:, :9])
    np.testing.assert_allclose(attention.weights(1)[:, 0], whole.attentions["decoder"].weights(1)[:, 8], atol=1e-6)


@torch.no_grad()
def test_a_wrapped_model_can_be_watched() -> None:
    module = build("bert")
    module.set_attn_implementation("eager")
    expected = module(IDS[1:], output_attentions=True).attentions
    from model.huggingface.recording import attention_interface

    module.set_attn_implementation(attention_interface.HEADLIGHT)
    with model.watch(module) as run:
        module(IDS[1:])
    np.testing.assert_allclose(run.attentions["encoder"].weights(1), expected[1][0], atol=1e-6)
    assert run.attentions["encoder"].has_vectors


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("causal", [False, True])
def test_a_layer_of_keras(dropout: float, causal: bool) -> None:
    layer = keras.layers.MultiHeadAttention(4, key_dim=8, dropout=dropout)
    rows, mask = np.random.default_rng(0).normal(size=(2, 5, 16)).astype("float32"), np.ones((2, 5, 5), bool)
    mask[1, :, 3:] = False
    options = {"attention_mask": mask, "use_causal_mask": causal}
    expected, weights = layer(rows, rows, return_attention_scores=True, **options)
    with model.watch(layer) as run:
        output = layer(rows, rows, **options)
    np.testing.assert_allclose(output.detach(), expected.detach(), atol=1e-6)
    kind = "decoder" if causal else "encoder"
    for item in range(2):
        attention = run.select(item)[kind]
        np.testing.assert_allclose(attention.weights(0), weights[item].detach(), atol=1e-6)
        assert attention.has_vectors == (dropout == 0)
    assert not attention.weights(0)[..., 3:].any()
    assert "call" not in vars(layer)


def keras_model() -> Any:
    """Two layers of self-attention, one of grouped queries and one of cross-attention."""
    source, target = keras.Input((6, 16)), keras.Input((6, 16))
    x = source
    for _ in range(2):
        x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(4, key_dim=4)(x, x)])
        x = keras.layers.Add()([x, keras.layers.Dense(16)(x)])
    y = keras.layers.GroupQueryAttention(4, 4, 2)(target, target, use_causal_mask=True)
    y = keras.layers.MultiHeadAttention(4, key_dim=4)(y, x)
    return keras.Model([source, target], y)


def test_a_model_of_keras() -> None:
    module = keras_model()
    rows = np.random.default_rng(0).normal(size=(2, 6, 16)).astype("float32")
    expected = module([rows, rows])
    with model.watch(module) as run:
        output = module([rows, rows])
        module([rows[:1], rows[:1]])
    np.testing.assert_array_equal(output.detach(), expected.detach())
    assert [call.kind for call in run.calls[:4]] == ["encoder", "encoder", "decoder", "cross"]
    assert run.attentions["encoder"].num_layers == 2
    assert [call.batch_size for call in run.calls] == [2] * 4 + [1] * 4
    assert [call.forward_pass for call in run.calls] == [0] * 4 + [1] * 4


def test_a_layer_of_keras_inside_a_module_of_pytorch() -> None:
    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = keras.layers.MultiHeadAttention(4, key_dim=4)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.attention(rows, rows)

    with model.watch(module := Holder()) as run:
        module(torch.randn(2, 6, 16))
    assert [(call.path, call.kind) for call in run.calls] == [("attention", "encoder")]


ON_TENSORFLOW = """
import warnings
import numpy as np
import keras, model
assert keras.backend.backend() == "tensorflow"
rows = np.random.default_rng(0).normal(size=(2, 5, 16)).astype("float32")
mask = np.ones((2, 5, 5), bool)
mask[1, :, 3:] = False
layer = keras.layers.MultiHeadAttention(4, key_dim=8)
expected, weights = layer(rows, rows, attention_mask=mask, return_attention_scores=True)
with model.watch(layer) as run:
    output = layer(rows, rows, attention_mask=mask)
np.testing.assert_allclose(output, expected, atol=1e-6)
for item in range(2):
    attention = run.select(item)["encoder"]
    np.testing.assert_allclose(attention.weights(0), weights[item], atol=1e-6)
    assert attention.has_vectors
assert not {"call", "_compute_attention"} & vars(layer).keys()
source, target = keras.Input((6, 16)), keras.Input((6, 16))
x = keras.layers.MultiHeadAttention(4, key_dim=4)(source, source)
x = keras.layers.MultiHeadAttention(4, key_dim=4)(x, x)
y = keras.layers.MultiHeadAttention(4, key_dim=4, dropout=0.2)(target, target, use_causal_mask=True)
y = keras.layers.GroupQueryAttention(4, 4, 2)(y, x)
module = keras.Model([source, target], y)
rows = np.random.default_rng(0).normal(size=(2, 6, 16)).astype("float32")
with model.watch(module) as run:
    module([rows, rows], training=True)
assert sorted((call.kind, call.dropout) for call in run.calls) == [
    ("cross", 0), ("decoder", 0.2), ("encoder", 0), ("encoder", 0)
], run.calls
assert run.attentions["encoder"].num_layers == 2
with warnings.catch_warnings(record=True) as told, model.watch(module) as run:
    module.predict([rows, rows], verbose=0)
try:
    run.attentions
except LookupError as error:
    assert "compiled graph" in str(error), error
else:
    raise AssertionError
print("same")
"""


@pytest.mark.skipif(
    find_spec("tensorflow") is None and "CI" not in os.environ,
    reason="TensorFlow is missing: pip install -r requirements-tensorflow.txt",
)
def test_keras_on_tensorflow() -> None:
    settings = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, "-c", ON_TENSORFLOW], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip().endswith("same"), ran.stderr
