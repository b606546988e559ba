"""Reference runs of a Hugging Face model with the library's own eager attention, which returns all weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.projections import shallow_copy
from model.attention.record import record
from model.decomposition.boxes import silence_weights
from model.errors import OpeningError
from model.huggingface.opened_model import SHOWN_STAGE, OpenedModel, find_stack
from model.huggingface.recording.attention_interface import LIBRARY_EAGER, capture_weights
from model.huggingface.recording.hooks import is_shared, outermost_layers, running_layer
from model.huggingface.recording.neurons import NeuronRows, OnNeurons, capture_neurons

MAX_PARAMETERS = 400_000_000  # of a model that is run in float64: more takes minutes
# Receives kind, layer, weights, and where the family shows them query, key and value, and which layer of the model its
# module's path says it is.
OnLayer = Callable[[str, int, Tensor, tuple[Tensor, Tensor, Tensor] | None, int | None], None]
Wanted = tuple[Mapping[str, NeuronRows], OnNeurons]  # the neurons of which stacks, and what receives them

NO_WEIGHTS = "it has no attention, or the library does not return its weights: there is nothing to show"


def library_attentions(result: Any, single: str | None) -> dict[str, Sequence[Tensor]]:
    """Kind -> weights of each layer, [batch, head, query, key], from the library's output object.

    Args:
        result: of a pass with `output_attentions`.
        single: "encoder" or "decoder" for a model with a single stack; None for an encoder-decoder model.

    Raises:
        OpeningError: the output holds no weights.
    """
    names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    names = names if single is None else {single: "attentions"}
    found = {kind: getattr(result, name, None) for kind, name in names.items()}
    # Layers without attention, as in hybrids, have None or an empty tuple in their place.
    attentions = {
        kind: [one for one in layers if isinstance(one, Tensor)] for kind, layers in found.items() if layers is not None
    }
    if not any(attentions.values()):
        raise OpeningError(NO_WEIGHTS)
    return {kind: layers for kind, layers in attentions.items() if layers}


def run_eager(
    lens: OpenedModel,
    inputs: dict[str, Tensor],
    plan: EditPlan | None,
    on_layer: OnLayer,
    depth: int | None = None,
    neurons: Wanted | None = None,
) -> Any:
    """The library's output object of a pass with its own eager attention.

    Args:
        inputs: keyword arguments of the module.
        plan: edits, which the library's attention gets as masks, scales and factors.
        on_layer: receives each layer's weights as soon as they are computed, and where the family shows them its
            queries, keys and values.
        depth: let only so many layers of the last stack change the states; None for all.
        neurons: the neurons that are handed over, too.
    """
    module = shallow_copy(lens.module)
    if depth is not None:
        layers = outermost_layers(module.get_decoder() if lens.is_encoder_decoder else module)
        for block in list(layers or ())[depth:]:
            block.register_forward_hook(_pass_on, with_kwargs=True)
    return run_copy(lens, module, inputs, plan, on_layer, neurons)


def continue_eagerly(lens: OpenedModel, inputs: dict[str, Tensor], ids: Sequence[int]) -> Tensor | None:
    """What the library's own attention answers behind a text and behind what follows it, from stored keys.

    Args:
        inputs: keyword arguments of the module, for one text; ids: what follows it, of which the last is not fed.

    Returns:
        [id, vocab]; None where the family stores no keys.
    """
    module = shallow_copy(lens.module)
    module.set_attn_implementation(LIBRARY_EAGER)
    with torch.inference_mode(), capture_weights(lambda *_: None):
        result = lens.run(module, inputs, eager=False, cached=True)
        stored: Any = getattr(result, "past_key_values", None)
        if stored is None:
            return None
        rows = [result.logits[0, -1]]
        for one in ids[:-1]:
            step = {"input_ids": torch.tensor([[one]], device=lens.device), "past_key_values": stored}
            rows.append(lens.run(module, step, eager=False, cached=True).logits[0, -1])
    return torch.stack(rows)


def _pass_on(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """Forward hook: the states that came in, in place of those that go out."""
    states = args[0] if args else kwargs["hidden_states"]
    return (states, *output[1:]) if isinstance(output, tuple) else states


def run_in_float64(
    lens: OpenedModel,
    inputs: dict[str, Tensor],
    plan: EditPlan | None,
    ours: bool,
    on_layer: OnLayer,
    neurons: Wanted | None = None,
) -> Any:
    """The output object of a pass in float64: with the library's own attention, or with `ours`.

    To be called in `float64_everywhere`, which converts the weights that it shares with the model as they are used.

    Args:
        inputs, plan, on_layer, neurons: as in `run_eager`; with the app's own attention no neurons are handed over.
    """
    module = shallow_copy(lens.module)
    if not ours or not lens.uses_interface:
        return run_copy(lens, module, inputs, plan, on_layer, neurons)
    with torch.inference_mode(), apply_edits(plan), record() as recorded:
        result = lens.run(module, inputs, eager=False)
    for kind, layer in list(recorded.calls):
        call = recorded.calls.pop((kind, layer))  # in float64 they take as much as the answer
        on_layer(kind, layer, call.weights(), (call.query, call.key, call.value), None)
    return result


def can_run_in_float64(module: Any) -> bool:
    """Whether a model is small enough to be run in float64, and its device computes in that."""
    size = sum(parameter.numel() for parameter in module.parameters())
    return size <= MAX_PARAMETERS and module.device.type != "mps"


def run_copy(
    lens: OpenedModel,
    module: Any,
    inputs: dict[str, Tensor],
    plan: EditPlan | None,
    on_layer: OnLayer,
    neurons: Wanted | None = None,
) -> Any:
    """As `run_eager`, of a copy of the model, whose attention is changed."""
    attended: set[int] = set()
    if neurons is not None:
        for stack, rows in neurons[0].items():
            capture_neurons(find_stack(stack, module), stack, rows, attended, neurons[1])
    vectors: dict[tuple[str, int], tuple[Tensor, Tensor, Tensor]] = {}
    places: dict[tuple[str, int], int] = {}
    shown = find_stack("encoder", module) if hasattr(module, SHOWN_STAGE) else module
    numbers = {id(part): re.search(r"\.(\d+)\.", f".{name}.") for name, part in shown.named_modules()}

    def keep(part: nn.Module, kind: str, layer: int, found: tuple[Tensor, Tensor, Tensor]) -> None:
        before = vectors.get((kind, layer))
        if before is not None and before[0] is found[0] and before[1] is found[1]:  # differential attention calls twice
            found = (*found[:2], torch.cat([before[2], found[2]], dim=-1))
        vectors[kind, layer] = found
        attended.add(id(part))
        path = numbers.get(id(part))
        number = running_layer(part) if is_shared(part) else None if path is None else int(path[1])
        if number is not None:
            places[kind, layer] = number

    waiting: list[tuple[str, int, Tensor]] = []

    def hand_over(kind: str, layer: int, weights: Tensor) -> None:
        if waiting and waiting[0][:2] != (kind, layer):
            hand_over_last()
        waiting[:] = [(kind, layer, weights)]

    def hand_over_last() -> None:
        for kind, layer, weights in waiting:
            on_layer(kind, layer, weights, vectors.pop((kind, layer), None), places.get((kind, layer)))

    if plan is not None:
        silence_weights(lens.module, module, plan.edits)
    with torch.inference_mode(), apply_edits(plan):
        if lens.uses_interface:
            module.set_attn_implementation(LIBRARY_EAGER)
            with capture_weights(hand_over, keep):
                result = lens.run(module, inputs, eager=False)
            hand_over_last()
            return result
        module.set_attn_implementation("eager")
        result = lens.run(module, inputs, eager=True)
        for kind, layers in library_attentions(result, None if lens.is_encoder_decoder else lens.single_stack).items():
            for layer, weights in enumerate(layers):
                on_layer(kind, layer, weights, None, None)
    return result
