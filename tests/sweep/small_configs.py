"""Configurations of every model type, made as small as their classes allow."""

from __future__ import annotations

import re
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

# Names of sizes, as regular expressions on the whole name, and the small value; the first that fits counts.
SIZES: tuple[tuple[str, int], ...] = (
    (r".*vocab_size.*|n_vocab", 0),  # 0 stands for the vocabulary of the sweep's tokenizer
    (r"num_key_value_heads|num_kv_heads|n_kv_heads|num_global_key_value_heads|swa_num_key_value_heads", 2),
    (r".*attention_heads|n_heads?|num_heads|.*_n_heads|linear_num_(key|value)_heads|linear_num_heads", 4),
    (r"(num_)?(hidden|encoder|decoder|attention|text)?_?layers|n_layers?|depth|num_hidden_layers|num_.*_layers", 2),
    (r"num_kv_shared_layers|num_nextn_predict_layers|first_k_dense_replace|num_mtp_layers|num_hash_layers", 0),
    (r"head_dim|.*_head_dim|d_kv|d_head|dim_head|attention_head_size|head_size|kv_channels|linear_head_dim", 8),
    (r"kv_lora_rank|q_lora_rank|o_lora_rank|.*lora.*rank.*|.*_rank", 8),
    (r"rotary_dim|d_rel", 4),
    (r".*intermediate_size.*|.*ffn_.*(dim|size)|d_ff|d_inner|n_inner|mlp_dim|feed_forward.*|.*ffn_dim|hidden_dim", 64),
    (r"(.*_)?hidden_size(_.*)?|d_model|n_embd|dim|emb_dim|embed_dim|embedding_(size|dim)|word_embed_proj_dim", 32),
    (r"projection_dim|output_dim|.*_output_dim|pooler_.*size|classifier_proj_size|(out|attention)_hidden_size", 32),
    (r".*num_experts|num_local_experts|n_routed_experts|moe_num_experts|num_experts", 4),
    (r".*experts_per_tok.*|moe_k|moe_topk|num_selected_experts|top_k_experts", 2),
    (r"n_group|topk_group|n_shared_experts|num_shared_experts", 1),
    (r"image_size|input_size", 32),
    (r"patch_size", 8),
    (r"num_frames", 2),
    (r"sliding_window(_size)?|local_attention|attention_window|attention_chunk_size|index_topk", 4),
    (r"(max_position_embeddings|n_positions|n_ctx|max_seq_len|max_(source|target)_positions|context_length)", 128),
    (r"mamba_d_state|state_size|ssm_state_size|mamba_d_head|mamba_head_dim", 8),
    (r"mamba_n_heads|mamba_num_heads", 8),
    (r"mamba_n_groups|n_groups", 1),
    (r"mamba_chunk_size|chunk_size|chunk_length", 8),
    (r"block_size|local_radius", 4),
    (r"num_hash_buckets|char_vocab_size", 64),
)  # fmt: skip
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
IDS |= {"mask_token_id": 3, "unk_token_id": 4, "decoder_start_token_id": 2, "forced_eos_token_id": None}
PER_LAYER = re.compile(r"layer_types|.*_layer_types|layers_block_type|layer_rope_theta|no_rope_layers|indexer_types")
MAX_LAYERS = 4

WINDOWS: dict[str, Any] = {"depths": [1, 2], "num_heads": [2, 4], "embed_dim": 16, "window_size": 4}
THREE_AXES = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
OF_THREE_AXES: dict[str, Any] = {"rope_parameters": THREE_AXES}
VISION_MARKS = {"vision_start_token_id": 60, "vision_end_token_id": 61}

# What single types need besides; a nested configuration is named by its own type.
OVERRIDES: dict[str, dict[str, Any]] = {
    "t5": {"initializer_factor": 0.3},
    "mt5": {"initializer_factor": 0.3},
    "umt5": {"initializer_factor": 0.3},
    "longt5": {"initializer_factor": 0.3},
    "switch_transformers": {"initializer_factor": 0.3},
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_n_heads": 8, "mamba_d_head": 8},
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "mobilebert": {"true_hidden_size": 32, "intra_bottleneck_size": 32, "embedding_size": 32, "hidden_size": 32},
    "xmod": {"default_language": "en_XX"},
    "deepseek_v2": {"num_experts_per_tok": 2, "num_key_value_heads": 4, "topk_method": "greedy"},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "dots3_note": {"num_key_value_heads": 4},
    "esm": {"vocab_size": 90, "mask_token_id": 3, "token_dropout": False, "position_embedding_type": "rotary"},
    "esmc": {"num_key_value_heads": 4},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": [32] * 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.0] * 4,
        "hidden_size_per_layer_input": 8},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]],
        "attention_layers": ["global", "local"]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "ministral": {"head_dim": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "nemotron": {"num_key_value_heads": 2},
    "neomme": {"partial_rotary_factor": 0.5},
    "whisper": {"max_source_positions": 100},
    "speech_to_text": {"conv_channels": 16},
    **dict.fromkeys(("swin", "swinv2", "donut-swin", "maskformer-swin"), WINDOWS),
    **dict.fromkeys(("qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text", "qwen3_omni_moe_text"), OF_THREE_AXES),
    **dict.fromkeys(("glm4v_text", "glm_ocr_text", "glm_image_text", "paddleocr_vl_text"), OF_THREE_AXES),
    "glm4v_moe_text": {"rope_parameters": THREE_AXES | {"partial_rotary_factor": 1.0}},
    "qwen2_5_omni_thinker": VISION_MARKS,
    "qwen3_omni_moe_thinker": VISION_MARKS,
    "step3p5": {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 4,
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": 1e4}
            for kind in ("full_attention", "sliding_attention")}},
    "mistral4": {"head_dim": 16, "qk_head_dim": 16},
    "longcat_flash": {"head_dim": 8, "qk_head_dim": 16},
    "zamba2": {"num_hidden_layers": 5, "layers_block_type": ["mamba", "hybrid"] * 2 + ["hybrid"], "num_mem_blocks": 1,
        "attention_hidden_size": 64, "attention_head_dim": 16, "mamba_headdim": 8, "n_mamba_heads": 8},
    "unlimited_ocr_text": {"num_key_value_heads": 4},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48, "num_attention_heads": 4, "channel_shrink_ratio": 2},
    "shieldgemma2": {"yes_token_index": 5, "no_token_index": 6},
    "reformer": {"axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 16], "is_decoder": False,
        "attn_layers": ["local", "lsh"], "max_position_embeddings": 128},
}  # fmt: skip


def layer_plan(values: dict[str, Any]) -> tuple[int, list[Any] | None]:
    """The number of layers, and their types: the first of each type that the default configuration has."""
    for name in ("layer_types", "layers_block_type"):
        types = values.get(name)
        if isinstance(types, (list, tuple)) and types:
            kinds = list(dict.fromkeys(types))[:MAX_LAYERS]
            return max(len(kinds), 2), (kinds * 2)[: max(len(kinds), 2)]
    return 2, None


def small_values(config_class: Any, vocabulary: int, *, top: bool = True) -> dict[str, Any]:
    """Keyword arguments of a small configuration.

    Args:
        config_class: of the library; vocabulary: tokens of the sweep's tokenizer.
        top: False for a configuration inside another.
    """
    default = config_class()
    values: dict[str, Any] = default.to_dict()
    layers, types = layer_plan(values)
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and "model_type" in value and value["model_type"] in CONFIG_MAPPING:
            inner = CONFIG_MAPPING[value["model_type"]]
            changes[name] = small_values(inner, vocabulary, top=False) | {"model_type": value["model_type"]}
        elif name == "rope_parameters" and isinstance(value, dict) and value.get("mrope_section"):
            changes[name] = value | {"mrope_section": [2, 1, 1]}
        elif name in IDS:
            changes[name] = IDS[name]
        elif PER_LAYER.fullmatch(name) and isinstance(value, (list, tuple)):
            changes[name] = types if types and name in ("layer_types", "layers_block_type") else list(value)[:layers]
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            small = next((size for pattern, size in SIZES if re.fullmatch(pattern, name)), None)
            if small is not None:
                is_layers = small == 2 and "layer" in name
                small = vocabulary if "vocab" in name and small == 0 else layers if is_layers else small
                changes[name] = small if small == vocabulary else min(small, value)
    if changes.get("kv_lora_rank"):  # latent attention: keys are made for each head
        changes["num_key_value_heads"] = changes["num_attention_heads"]
    changes |= OVERRIDES.get(default.model_type, {})
    return changes


def small_config(config_class: Any, vocabulary: int) -> Any:
    """A small configuration of a class of the library."""
    return config_class(**small_values(config_class, vocabulary))
