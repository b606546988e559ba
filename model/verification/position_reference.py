"""The comparison of a Hugging Face model's positions with the formula that its config names.

The traced pass and the library's own share the model's tables and frequencies, so neither notices a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from model.arrays.torch_to_numpy import to_numpy
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.position_formulas import (
    half_step_table,
    halves_table,
    relative_buckets,
    rotary_frequencies,
    sinusoidal_table,
)

TOLERANCE = 1e-3  # of a frequency or a table's number; an early layer of bfloat16 rounds its table to 2⁻⁹
GROWING = ("dynamic", "longrope")  # rules whose frequencies depend on the length of the text


@torch.no_grad()
def add_positions(comparison: Comparison, trace: Trace, module: Any) -> None:
    """Compare rotary frequencies, sinusoidal tables and relative biases with their formulas; learned ones have none."""
    tolerance = max(TOLERANCE, comparison.limits.digits)
    for name, part in module.named_modules():
        for attribute, frequencies in _frequencies(part):
            found = list(_expected_frequencies(part, attribute, len(frequencies), module.config))
            if found:
                error = min(float((frequencies.double().cpu() - one).abs().max()) for one in found)
                comparison.add("positions", error, tolerance, attribute)
        table = _fixed_table(name, part, module)
        if table is not None:
            comparison.add("positions", _table_error(table, part), tolerance, name.rsplit(".", 1)[-1])
    if not trace.edits:
        _add_biases(comparison, trace, module)


def _frequencies(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values of a module's rotary frequencies; some have those of two kinds of layers."""
    for name, buffer in part.named_buffers(recurse=False):
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq") and buffer.dim() == 1:
            yield name, buffer


def _expected_frequencies(part: Any, attribute: str, count: int, config: Any) -> Iterator[Tensor]:
    """The frequencies by the formula, and by the library's function for what the config names. float64 [pair]"""
    config = getattr(part, "config", config)
    layer_type = attribute.removesuffix("inv_freq").rstrip("_") or None
    parameters = getattr(config, "rope_parameters", None) or {}
    parameters = parameters.get(layer_type, parameters) if layer_type else parameters
    rule, base = parameters.get("rope_type", "default"), parameters.get("rope_theta")
    if rule in GROWING:
        return
    if rule == "default" and base:
        yield rotary_frequencies(float(base), 2 * count)
    own = getattr(part, "compute_default_rope_parameters", None)
    library = own if rule == "default" else ROPE_INIT_FUNCTIONS.get(rule)  # some families have rules of their own
    if library is not None:
        more = {"layer_type": layer_type} if layer_type else {}
        try:
            frequencies = library(config, device=torch.device("cpu"), **more)[0]
        except Exception:  # the library has no one table where head widths differ by layer (Gemma 4)
            return
        if frequencies.shape == (count,):
            yield frequencies.double()


def _fixed_table(name: str, part: nn.Module, module: Any) -> Tensor | None:
    """A table of positions that was computed and not learned, [position, d_model]; None where there is none."""
    if "sinusoidal" not in type(part).__name__.lower() or part is module.get_input_embeddings():
        return None
    table = getattr(part, "weights", None)
    table = getattr(part, "weight", None) if table is None else table
    return table if isinstance(table, Tensor) and table.dim() == 2 else None


def _table_error(table: Tensor, part: Any) -> float:
    """Largest difference of a sinusoidal table from the nearest of the layouts that are in use."""
    count, width = table.shape
    found = table.double().cpu()
    padding = getattr(part, "padding_idx", None)
    errors = []
    for make in (sinusoidal_table, halves_table, half_step_table):
        expected = make(count, width)
        if padding is not None and make is half_step_table:
            expected[padding] = 0.0
        errors.append(float((found - expected).abs().max()))
    return min(errors)


def _add_biases(comparison: Comparison, trace: Trace, module: Any) -> None:
    """Compare the relative bias that each layer adds with its table at the buckets of the formula (T5)."""
    for stack in ("encoder", "decoder"):
        attention = trace.attentions.get(stack)
        parts = [
            part
            for name, part in module.named_modules()
            if isinstance(getattr(part, "relative_attention_bias", None), nn.Embedding)
            and hasattr(part, "relative_attention_num_buckets")
            and bool(getattr(part, "is_decoder", False)) == (stack == "decoder")
        ]
        if attention is None or not attention.has_vectors or len(parts) not in (1, attention.num_layers):
            continue
        count = comparison.length(stack)
        for layer in range(attention.num_layers):
            part: Any = parts[min(layer, len(parts) - 1)]
            how = part.relative_attention_num_buckets, part.relative_attention_max_distance
            buckets = relative_buckets(count, count, *how, both_ways=stack == "encoder")
            expected = part.relative_attention_bias.weight.float().cpu()[buckets].permute(2, 0, 1)
            seen = attention.mask(layer)[:count, :count]
            difference = abs(attention.bias(layer)[:, :count, :count] - to_numpy(expected)) * seen
            scale = float(expected.abs().max()) or 1.0
            error = float(difference.max()) / scale if math.isfinite(scale) else math.nan
            comparison.add("positions", error, max(TOLERANCE, comparison.limits.digits), f"{stack} {layer}")
