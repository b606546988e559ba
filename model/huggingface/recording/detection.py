"""What a test pass shows of a model: whether its attention can be recorded, its kinds, layers and heads."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from model.attention.record import Record, record
from model.errors import OpeningError
from model.huggingface.loading.weights import NOT_HEARD
from model.huggingface.opened_model import OpenedModel, forward_inputs, stack_names
from model.huggingface.recording.attention_interface import HEADLIGHT, HEADLIGHT_ALL_MASKS
from model.huggingface.recording.hooks import hook_slices
from model.huggingface.recording.layers import Layers, layer_indices
from model.huggingface.recording.trial import agrees_with_library, check_rows


class TestableModel(OpenedModel, Protocol):
    """An opened model with a smallest input, and with its layers read off a pass."""

    has_sinks: bool
    takes: str

    def dummy_inputs(self) -> dict[str, Tensor]: ...

    def layers_of(self, result: Any, recorded: Record, rows: int) -> Layers: ...


SOUND = "sound"
ALONE = {"text": "a text", "image": "a picture", "video": "a clip", "sound": "a sound"}
# What models read besides a text, by the library's name for it.
OTHER_INPUTS = {
    "pixel_values": "a picture",
    "pixel_values_videos": "a video",
    "input_features": SOUND,
    "input_values": SOUND,
    "bbox": "places on a page",
    "visual_feats": "a picture",
}


@dataclass(frozen=True)
class Interface:
    """What a test pass found out.

    Attributes:
        uses_interface: True where attention runs through `model.attention.formula.attention`.
        single_stack: what a single stack is, "encoder" or "decoder", by its masks.
        heads: attention kind -> (layers, heads).
        layer_index: attention kind -> which layer of the model each attention layer is.
        tokens: how many tokens the first stack attends with, of what the test pass read.
        hidden_kinds: kinds that an encoder-decoder model has but does not show.
    """

    uses_interface: bool
    single_stack: str
    heads: Mapping[str, tuple[int, int]]
    layer_index: Mapping[str, tuple[int, ...]]
    hidden_kinds: tuple[str, ...]
    tokens: int


def detect_interface(lens: TestableModel) -> Interface:
    """What one pass over a few ids shows; leaves the attention implementation set that worked.

    Raises:
        ValueError: the family's attention gives no weight for every pair of tokens.
    """
    inputs = lens.dummy_inputs()
    result, recorded = _recorded_pass(lens, inputs)
    lens.uses_interface = recorded is not None
    if recorded is None:
        lens.module.set_attn_implementation("eager")
        hook_slices(lens.module)  # of the others, the calls of attention are slices
        with torch.inference_mode():
            result = _own_pass(lens, inputs)
        recorded = Record()
    layers, index = lens.layers_of(result, recorded, 1), layer_indices(recorded)
    if not any(rows[0] for rows in layers.values()):
        raise OpeningError("none of its layers has attention: there is nothing to show")
    _check_pairs(layers, inputs)
    _check_lengths(lens, result, inputs)
    check_rows(layers, lens.has_sinks)
    single = "encoder"
    # A single stack whose masks all forbid later keys is a decoder.
    bidirectional = (np.triu(one.array("allowed"), 1).any() for one in layers.get("encoder", [[]])[0])
    if not lens.is_encoder_decoder and not any(bidirectional):
        single = "decoder"
        layers = {"decoder": layers["encoder"]}
        index = {"decoder": index["encoder"]} if index else {}
    heads = {kind: (len(rows[0]), rows[0][0].shape[0]) for kind, rows in layers.items()}
    expected = ("encoder", "decoder", "cross") if lens.is_encoder_decoder else (single,)
    hidden = tuple(kind for kind in expected if kind not in heads)
    tokens = next(iter(layers.values()))[0][0].shape[2]
    return Interface(lens.uses_interface, single, heads, index, hidden, tokens)


def takes_cache(module: nn.Module) -> bool:
    """Whether a model may be told to store no keys: classifiers with a decoder may say so themselves (T5Gemma)."""
    return "use_cache" in forward_inputs(module) or not getattr(module.config, "is_encoder_decoder", False)


def _own_pass(lens: TestableModel, inputs: dict[str, Tensor]) -> Any:
    """The library's output object of a pass with the family's own attention.

    Raises:
        ValueError: the family needs more than is typed here, or its code does not run.
    """
    required = inspect.signature(lens.module.forward).parameters.values()
    more = [one.name for one in required if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    more = [name for name in more if name not in inputs]
    if more:
        other = OTHER_INPUTS.get(more[0], "something else")
        raise OpeningError(
            f"it reads {other} besides, which cannot be given here", "sound" if other == SOUND else "not_transformer"
        )
    try:
        return lens.run(lens.module, inputs, eager=True)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        main = OTHER_INPUTS.get(getattr(lens.module, "main_input_name", ""))
        if main == SOUND and lens.takes == "text":
            raise OpeningError(NOT_HEARD, "sound") from error
        if main and lens.takes == "text":
            raise OpeningError(f"it reads {main}, so nothing can be shown") from error
        others = dict.fromkeys(OTHER_INPUTS[one.name] for one in required if one.name in {*OTHER_INPUTS} - {*inputs})
        besides = f": it reads {' and '.join(others)} besides" if others else ""
        alone = f"the library's own code does not run on {ALONE[lens.takes]} alone"
        raise OpeningError(f"{alone}{besides}, so nothing can be shown") from error


def _recorded_pass(lens: TestableModel, inputs: dict[str, Tensor]) -> tuple[Any, Record | None]:
    """The library's output object and the record of a pass through the one attention function.

    Tried a second time with every mask written out: the library leaves a causal mask out where a module is to say so
    itself, and some decoders do not (NLLB-MoE, BigBird-Pegasus). None where neither shows what the library's own
    attention shows.
    """
    lens.uses_interface = True
    for implementation in (HEADLIGHT, HEADLIGHT_ALL_MASKS):
        try:
            lens.module.set_attn_implementation(implementation)
            with torch.inference_mode(), record() as recorded:
                result = lens.run(lens.module, inputs, eager=False)
        # Whatever a family raises about an attention that is not its own: its own is tried next, and raises again.
        except Exception:
            continue
        if recorded.calls and agrees_with_library(lens, inputs, result, recorded):
            return result, recorded
    return None, None


def _check_pairs(layers: Layers, inputs: Mapping[str, Tensor]) -> None:
    """Refuse maps whose cells are not pairs of tokens, such as the band of a sliding window."""
    if "input_ids" not in inputs:  # pictures: the trial run of a vision model checks its patches
        return
    tokens = inputs["input_ids"].shape[1]
    for kind, rows in layers.items():
        for layer in rows[0]:
            if layer.shape[1:3] == (tokens, 2 * tokens):  # T5Gemma 2
                raise OpeningError("one attention of it reads what it wrote and the input at once", "joined")
            if layer.shape[1:3] != (tokens, tokens):
                raise OpeningError(
                    f"its {kind} attention does not give one weight for each pair of tokens, as with a sliding window",
                    "windows",
                )


def _check_lengths(lens: TestableModel, result: Any, inputs: Mapping[str, Tensor]) -> None:
    """Refuse a stack with more states than tokens: it fills a text up, and shifts it inside (PegasusX)."""
    if "input_ids" not in inputs:
        return
    for stack in stack_names(lens):
        states = getattr(result, f"{stack}_hidden_states" if lens.is_encoder_decoder else "hidden_states", None)
        if states and residual_stream(states[:1], lens.module.config)[0].shape[1] > lens.length_of(stack, inputs):
            raise OpeningError(
                f"its {stack} fills a text up to whole blocks of tokens, and computes with what fills it up", "windows"
            )


def describe_other_layers(config: Any, layer_index: Mapping[str, Sequence[int]]) -> str:
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
    """Hidden states [batch, token, d_model] of each layer; of several parallel streams, the active one or their mean.

    Gemma 3n keeps several streams [stream, batch, token, d_model] and predicts from one of them; hyper-connections
    (HY-V4) keep [batch, token, stream, d_model] and read all of them. PegasusX adds its global tokens as a second
    tensor. A last state that is narrower, in the space of the word vectors (OPT-350m), is none of the stream's.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    active = getattr(text, "altup_active_idx", None)

    def one_stream(state: Tensor) -> Tensor:
        state = state[0] if isinstance(state, tuple) else state
        if state.dim() != 4:
            return state
        return state.mean(dim=2) if active is None else state[int(active)]

    stream = [one_stream(state) for state in states]
    return [state for state in stream if state.shape == stream[0].shape]
