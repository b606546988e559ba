"""What a test pass shows of a model: whether its attention can be recorded, its kinds, layers and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from model.attention.record import Record, record
from model.errors import OpeningError
from model.huggingface.opened_model import OpenedModel
from model.huggingface.recording.attention_interface import HEADLIGHT
from model.huggingface.recording.layers import Layers, layer_indices

TEST_TOKENS = 3  # ids of the test pass: the fewest that tell a causal mask from others


class TestableModel(OpenedModel, Protocol):
    """An opened model with a smallest input, and with its layers read off a pass."""

    def dummy_inputs(self) -> dict[str, Tensor]: ...

    def layers_of(self, result: Any, recorded: Record, rows: int) -> Layers: ...


@dataclass(frozen=True)
class Interface:
    """What a test pass found out.

    Attributes:
        uses_interface: True where attention runs through `model.attention.formula.attention`.
        single_stack: what a single stack is, "encoder" or "decoder", by its masks.
        heads: attention kind -> (layers, heads).
        layer_index: attention kind -> which layer of the model each attention layer is.
        hidden_kinds: kinds that an encoder-decoder model has but does not show.
    """

    uses_interface: bool
    single_stack: str
    heads: Mapping[str, tuple[int, int]]
    layer_index: Mapping[str, tuple[int, ...]]
    hidden_kinds: tuple[str, ...]


def detect_interface(lens: TestableModel) -> Interface:
    """What one pass over a few ids shows; leaves the attention implementation set that worked.

    Raises:
        ValueError: the family's attention gives no weight for every pair of tokens.
    """
    lens.module.set_attn_implementation(HEADLIGHT)
    result = None
    with torch.inference_mode(), record() as recorded:
        lens.run(lens.module, lens.dummy_inputs(), eager=False)
    lens.uses_interface = bool(recorded.calls)
    if not lens.uses_interface:
        lens.module.set_attn_implementation("eager")
        with torch.inference_mode():
            result = lens.run(lens.module, lens.dummy_inputs(), eager=True)
    layers, index = lens.layers_of(result, recorded, 1), layer_indices(recorded)
    _check_pairs(layers, lens.dummy_inputs())
    single = "encoder"
    # A single stack whose masks all forbid later keys is a decoder.
    bidirectional = (np.triu(one.array("allowed"), 1).any() for one in layers.get("encoder", [[]])[0])
    if not lens.is_encoder_decoder and not any(bidirectional):
        single = "decoder"
        layers = {"decoder": layers["encoder"]}
        index = {"decoder": index["encoder"]} if index else {}
    heads = {kind: (len(rows[0]), rows[0][0].shape[0]) for kind, rows in layers.items()}
    expected = ("encoder", "decoder", "cross") if lens.is_encoder_decoder else (single,)
    return Interface(lens.uses_interface, single, heads, index, tuple(kind for kind in expected if kind not in heads))


def _check_pairs(layers: Layers, inputs: Mapping[str, Tensor]) -> None:
    """Refuse maps whose cells are not pairs of tokens, such as the band of a sliding window."""
    if "input_ids" not in inputs:  # pictures: the trial run of a vision model checks its patches
        return
    tokens = inputs["input_ids"].shape[1]
    for kind, rows in layers.items():
        for layer in rows[0]:
            if layer.shape[1:3] != (tokens, tokens):
                raise OpeningError(
                    f"its {kind} attention does not give one weight for each pair of tokens, as with a sliding window"
                )


def describe_other_layers(config: Any, layer_index: Mapping[str, tuple[int, ...]]) -> str:
    """The layers of a hybrid that have no attention, by what the config calls them, as "conv: 0, 1, 3"; "" without."""
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    count = getattr(config, "num_hidden_layers", 0)
    seen = {index for indices in layer_index.values() for index in indices}
    others = [layer for layer in range(count) if layer not in seen] if isinstance(count, int) and seen else []
    if not others or count > 10_000:
        return ""
    types = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    names = types if isinstance(types, (list, tuple)) and len(types) == count else [""] * count
    named = sorted((str(names[layer]), layer) for layer in others)
    groups = [(name, [layer for _, layer in group]) for name, group in groupby(named, key=lambda one: one[0])]
    return "; ".join(f"{name + ': ' if name else ''}{', '.join(map(str, layers))}" for name, layers in groups)


def residual_stream(states: Sequence[Tensor], config: Any) -> list[Tensor]:
    """Hidden states [batch, token, d_model] of each layer; of several parallel streams, the active one.

    Gemma 3n keeps several streams [stream, batch, token, d_model] and predicts from one of them.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    active = int(getattr(text, "altup_active_idx", 0) or 0)
    return [one[active] if one.dim() == 4 else one for one in states]
