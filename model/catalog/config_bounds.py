"""Bounds on the sizes in a model's config.json, checked before anything is allocated for them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import psutil

from model.catalog.folder_check import check_plain_name, read_json
from model.errors import ModelError
from model.memory.fit import check_model_allowed, format_bytes
from model.memory.weight_headers import refuse

MAX_PARAMETERS = 100_000_000_000
# Settings that may name a repository with code.
CODE = {
    *("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation"),
    *("_experts_implementation", "_experts_implementation_internal", "kernel_config", "use_kernels"),
}
# Names that configurations give to a size, and the largest that is accepted.
VOCABULARY = ("vocab_size", "n_vocab")
WIDTH = ("hidden_size", "d_model", "n_embd", "dim")
FEED_FORWARD = ("intermediate_size", "d_ff", "n_inner", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "hidden_dim")
ENCODER_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")
DECODER_LAYERS = ("decoder_layers", "num_decoder_layers")
HEADS = (
    *("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads"),
    *("encoder_attention_heads", "decoder_attention_heads"),
)
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_source_positions", "max_target_positions")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
OTHERS = (
    "embedding_size",
    "head_dim",
    "d_kv",
    "type_vocab_size",
    "image_size",
    "num_channels",
    "moe_intermediate_size",
)
LIMITS = (
    dict.fromkeys(VOCABULARY, 10_000_000)
    | dict.fromkeys((*WIDTH, *FEED_FORWARD, *OTHERS), 1_000_000)
    | dict.fromkeys((*ENCODER_LAYERS, *DECODER_LAYERS, *HEADS), 10_000)
    | dict.fromkeys(EXPERTS, 100_000)
    | dict.fromkeys(POSITIONS, 20_000_000)
)
# Of the own format (`Config` in model/translator/transformer.py): name -> largest value.
OWN_LIMITS = {
    "vocab_size": 10_000_000,
    "d_model": 100_000,
    "num_heads": 10_000,
    "encoder_layers": 10_000,
    "decoder_layers": 10_000,
    "d_ff": 1_000_000,
    "max_tokens": 1_000_000,
    "usual_tokens": 1_000_000,
    "longest_output": 1_000_000,
}
OWN_DEFAULTS = {"d_model": 256, "encoder_layers": 3, "decoder_layers": 3, "d_ff": 1024, "max_tokens": 512}
MAY_BE_ZERO = ("encoder_layers", "longest_output", "margin")  # a decoder alone; no bound of its own; nothing around
# Of the own format for clips (`VideoConfig` in model/translator/video/divided_attention.py).
VIDEO_LIMITS = {
    "frames": 10_000,
    "size": 10_000,
    "patch": 10_000,
    "margin": 10_000,
    "d_model": 100_000,
    "num_heads": 10_000,
    "layers": 10_000,
    "d_ff": 1_000_000,
    "digits": 100_000,
    "directions": 100_000,
}
VIDEO_DEFAULTS = {"frames": 8, "size": 30, "patch": 6, "margin": 3, "d_model": 96, "layers": 3, "d_ff": 384}


def check_config(folder: Path) -> None:
    """Raise an error where the sizes in a folder's config.json are no numbers, or more than can be opened here.

    Raises:
        ModelError: "not_transformer" for what is no size, "memory" for a model larger than the free memory.
    """
    file = folder / "config.json"
    config = read_json(file)
    if "transformers_weights" in config and config["transformers_weights"] is not None:
        check_plain_name(file, config["transformers_weights"])
    _check_code(config)
    parameters = _parameters(config) if "model_type" in config else _own_parameters(config)
    if parameters > MAX_PARAMETERS:
        raise refuse("config.json describes a model of more than 100 billion parameters: that cannot be opened here.")
    check_model_allowed("What config.json describes", 4 * parameters)
    _check_free(4 * parameters, "a model that needs")


def _check_code(value: object, name: str = "") -> None:
    """Raise an error where settings name code of a repository: the library would fetch and run it ("kernels")."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_code(part, name if name in CODE else key)
    elif isinstance(value, list):
        for part in value if name in CODE else ():
            _check_code(part, name)
    elif name in CODE and (value is True or (isinstance(value, str) and "/" in value)):
        raise refuse("config.json names code of another repository, and no code of a model is executed.")


def _check_free(needed: float, what: str) -> None:
    free = psutil.virtual_memory().available
    if needed > free:
        raise ModelError(
            "memory",
            f"config.json describes {what} {format_bytes(needed)} of memory, and {format_bytes(free)} are free. "
            f"Pick a smaller model.",
        )


def _parameters(config: dict[str, Any]) -> float:
    """A plain estimate of the parameters of a configuration, or of those inside it where they have more.

    vocabulary · d + layers · (4 d² + 2 d · d_ff), with d_ff = 4 d where it is not given: 12 d² a layer. Positions are
    counted where nothing is rotated, so that there may be a table of them.
    """
    sizes = {name: _size(name, config[name], limit) for name, limit in LIMITS.items() if name in config}

    def largest(names: tuple[str, ...]) -> float:
        return max((sizes.get(name, 0.0) for name in names), default=0.0)

    width = largest(WIDTH)
    layers = largest(ENCODER_LAYERS) + largest(DECODER_LAYERS)
    groups = config.get("num_hidden_groups")  # ALBERT: layers of a group share their weights
    if isinstance(groups, int) and groups > 0:
        layers = min(layers, groups)
    rows = largest(VOCABULARY) + sizes.get("type_vocab_size", 0.0)
    if not any("rope" in name or "rotary" in name for name in config):
        rows += largest(POSITIONS)
    row_width = sizes.get("embedding_size") or width
    own = rows * row_width + layers * (4 * width**2 + 2 * width * (largest(FEED_FORWARD) or 4 * width))
    inside = sum(
        _parameters(part) for name, part in config.items() if isinstance(part, dict) and _is_configuration(name)
    )
    return max(own, inside)


def _is_configuration(name: str) -> bool:
    """Whether a value of this name describes a model inside a model."""
    return name != "quantization_config" and (name.endswith("config") or "encoder" in name or "decoder" in name)


def _size(name: str, value: object, limit: int) -> float:
    """The size that a configuration gives: 0 for null, the largest of several.

    Raises:
        ModelError: it is no number, not finite, negative, or above the limit.
    """
    if value is None:
        return 0.0
    if isinstance(value, list) or (isinstance(value, dict) and value):  # of each stage, or of each kind of layer
        parts = value.values() if isinstance(value, dict) else value
        if any(isinstance(one, (list, dict)) for one in parts):
            raise refuse(f"config.json has no number for {name}.")
        return max((_size(name, one, limit) for one in parts), default=0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise refuse(f"config.json has no number for {name}.")
    if value < 0:
        raise refuse(f"config.json has a negative number for {name}.")
    if value > limit:
        raise refuse(f"config.json has {name} above {limit:,}, the most that can be opened here.")
    return float(value)


def _own_parameters(config: dict[str, Any]) -> float:
    """The parameters that a configuration of the own format describes.

    Raises:
        ModelError: a size is no whole number in its bounds, or the table of positions is larger than the free memory.
    """
    if "frames" in config:
        return _video_parameters(config)
    if "vocab_size" not in config:
        raise refuse("config.json says neither the type of its model (model_type) nor vocab_size.")
    _check_own_sizes(config, OWN_LIMITS)
    for name in ("pad", "bos", "eos", "unk"):
        token = config.get(name, 0)
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < config["vocab_size"]:
            raise refuse(f"config.json needs the number of a token for {name}.")
    sizes = OWN_DEFAULTS | {name: config[name] for name in OWN_LIMITS if name in config}
    width, layers = sizes["d_model"], sizes["encoder_layers"] + 2 * sizes["decoder_layers"]
    _check_free(4 * 8 * sizes["max_tokens"] * width, "positions whose table needs")  # float64, with the steps to it
    return sizes["vocab_size"] * width + layers * 4 * width**2 + layers * 2 * width * sizes["d_ff"]


def _video_parameters(config: dict[str, Any]) -> float:
    """The parameters that a configuration of the own format for clips describes.

    Raises:
        ModelError: a size is no whole number in its bounds, or the maps of a clip are larger than the free memory.
    """
    _check_own_sizes(config, VIDEO_LIMITS)
    sizes = VIDEO_DEFAULTS | {name: config[name] for name in VIDEO_LIMITS if name in config}
    width, places = sizes["d_model"], (sizes["size"] // sizes["patch"]) ** 2
    _check_free(4 * (sizes["frames"] * places) ** 2, "clips of which one attention map needs")
    pixels = (sizes["patch"] + 2 * sizes["margin"]) ** 2
    layers = sizes["layers"] * (8 * width**2 + 2 * width * sizes["d_ff"])
    return float(layers + (pixels + sizes["frames"] + places) * width)


def _check_own_sizes(config: dict[str, Any], limits: dict[str, int]) -> None:
    """Raise an error where a size of the own format is no whole number in its bounds, or the dropout no share."""
    for name, limit in limits.items():
        value, least = config.get(name, 1), 0 if name in MAY_BE_ZERO else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            wanted = "from 0 on" if not least else "above 0"
            raise refuse(f"config.json needs a whole number {wanted} for {name}.")
        _size(name, value, limit)
    dropout = config.get("dropout", 0.0)
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise refuse("config.json needs a number from 0 to 1 for dropout.")
