"""Small GGUF files, written by the format's own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

WORDS = ["<unk>", "<s>", "</s>", "▁the", "▁cat", "▁sat", "▁on", "▁mat", "▁", *"thecasonm"]
MERGES = ["t h", "th e", "Ġ th", "a t", "Ġ c", "Ġc at", "Ġth e"]
BYTES = ["<unk>", "<s>", "</s>", *"thecasonmĠ", *(merge.replace(" ", "") for merge in MERGES)]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def small_llama(**positions: Any) -> LlamaForCausalLM:
    """A Llama of two layers with random weights. positions: settings of its positions"""
    torch.manual_seed(5)
    marks = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0} | positions}
    module = LlamaForCausalLM(LlamaConfig(**SIZES, **marks, **rope)).eval()
    with torch.no_grad():
        for one in module.parameters():
            one.mul_(3)
    return module


def small_qwen2() -> Qwen2ForCausalLM:
    """A Qwen2 of two layers with random weights and biases."""
    torch.manual_seed(5)
    sizes = {**SIZES, "vocab_size": len(BYTES)}
    module = Qwen2ForCausalLM(Qwen2Config(**sizes, bos_token_id=1, eos_token_id=2, pad_token_id=None)).eval()
    with torch.no_grad():
        for one in module.parameters():
            one.mul_(3).add_(0.1 * torch.randn_like(one))
    return module


def write_model(
    file: Path,
    module: LlamaForCausalLM | Qwen2ForCausalLM,
    *,
    without: str = "",
    more: dict[str, np.ndarray] | None = None,
    quantised: gguf.GGMLQuantizationType | None = None,
    **changed: Any,
) -> None:
    """Write a Llama or a Qwen2 as GGUF, in float32 unless it is quantised.

    Args:
        without: a tensor that is left out; more: tensors that the library does not know, by name.
        quantised: the number format of matrices.
        changed: sizes of the header that differ, such as `block_count`.
    """
    config = module.config
    writer = gguf.GGUFWriter(file, config.model_type)
    sizes = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "head_count": config.num_attention_heads,
        "head_count_kv": config.num_key_value_heads,
        "vocab_size": config.vocab_size,
    }
    for name, size in (sizes | changed).items():
        getattr(writer, f"add_{name}")(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if config.model_type == "llama":
        writer.add_tokenizer_model("llama")
        writer.add_token_list(WORDS)
        writer.add_token_scores([-float(i) for i in range(len(WORDS))])
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(BYTES)
        writer.add_token_merges(MERGES)
    writer.add_token_types([2, 3, 3] + [1] * (config.vocab_size - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, tensor in module.state_dict().items():
        rows = _gguf_rows(name, tensor.numpy(), config)
        if _gguf_name(name) == without:
            continue
        if quantised is not None and rows.ndim == 2:
            writer.add_tensor(_gguf_name(name), gguf.quants.quantize(rows, quantised), raw_dtype=quantised)
        else:
            writer.add_tensor(_gguf_name(name), rows)
    for name, numbers in (more or {}).items():
        writer.add_tensor(name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    """The name that the format gives to a weight of a Llama or a Qwen2."""
    fixed = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, kind = name.rsplit(".", 1)
    if stem in fixed:
        return f"{fixed[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{kind}"


def _gguf_rows(name: str, weights: Any, config: Any) -> Any:
    """Queries and keys as the format orders a Llama's: halves that are rotated together interleaved, head by head."""
    if config.model_type != "llama":
        return weights
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    count = next((number for part, number in heads.items() if part in name), None)
    if count is None:
        return weights
    rows, columns = weights.shape
    split = weights.reshape(count, 2, rows // count // 2, columns)
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(rows, columns))
