"""The verification of a Hugging Face trace: the runs to compare with, and the readers of their output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from model.arrays.types import Array
from model.attention.edit_plan import EditPlan
from model.errors import InputError
from model.huggingface.answers import CLASS, WORDS, answer, classes, word_logits
from model.huggingface.generation import forced_first_id
from model.huggingface.probes import masked
from model.huggingface.recording.eager_run import can_run_in_float64, continue_eagerly, run_eager, run_in_float64
from model.huggingface.recording.neurons import NeuronRows
from model.huggingface.tracing import stack_states
from model.huggingface.vocabulary import vocabulary
from model.trace.check import Check, Probe
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.probes import add_effect, add_guess, add_lens, depths_to_repeat, heads_to_repeat
from model.verification.references.huggingface_reference import HOW, OnLayer, OnNeurons, Subject, known_neurons, verify
from model.verification.tolerances import limits
from model.verification.words import Vocabulary


def verify_run(
    lens: Any,
    inputs: dict[str, Tensor],
    answered: Tensor,
    row: int,
    trace: Trace,
    probe: Probe | None = None,
    *,
    plan: EditPlan | None,
    output: Sequence[int] | None = None,
    generated: bool = False,
) -> Check:
    """The verdict on the trace of one sentence or picture of a batch, or on a probe of it.

    Args:
        lens: the model; inputs: what it was fed.
        answered: what it answered for this sentence, [token, ...]; row: its index in the batch.
        trace: what is judged; probe: what is judged instead; plan: the edits of its pass.
        output: ids of the output; generated: whether the model wrote them itself.
    """
    if probe is not None:
        return verify_probe(lens, {name: one[row : row + 1] for name, one in inputs.items()}, plan, trace, probe)
    one_text = trace.picture is None and len(next(iter(inputs.values()))) == 1
    judge = partial(_verify_pass, lens, inputs, answered, row, trace, plan, output)
    if not generated:
        return judge(None)
    written = list(output or ())
    if lens.is_encoder_decoder:
        # With edits each step read less than the whole, so that this pass does not say what it wrote.
        return judge(None if plan else written[trace.prompt_length :])
    if not (lens.uses_interface and plan is None and one_text and written):
        return judge(written[:1])
    check = judge(written, behind=len(written))
    if check.ok:
        return check
    # Families that choose keys by scores that tie choose others in a longer text: each step is repeated as it was made.
    further = continue_eagerly(lens, inputs, written)
    return check if further is None else judge(written, further=further)


def _verify_pass(
    lens: Any,
    inputs: dict[str, Tensor],
    answered: Tensor,
    row: int,
    trace: Trace,
    plan: EditPlan | None,
    output: Sequence[int] | None,
    written: Sequence[int] | None,
    behind: int = 0,
    further: Tensor | None = None,
) -> Check:
    """The verdict on the trace of one sentence or picture of a batch; arguments as for `verify_run`.

    Args:
        written: ids that the model chose itself, as far as they are compared.
        behind: how many of them are fed behind the text, as no token of a causal model sees a later one.
        further: what the library's own attention answers before each of them, where they are not fed. [id, vocab]
    """
    wanted = neuron_rows(lens, inputs, row, plan, known_neurons(trace))
    fed = {} if trace.picture is not None else _fed(lens, inputs, row)
    if behind:
        assert written is not None
        inputs = _continued(inputs, written)
    config = lens.config
    tokens = trace.tokens[list(trace.tokens)[-1]].texts[: len(trace.ids.get(list(trace.tokens)[-1], ()))]
    head = lens.head if trace.picture is None else CLASS if trace.output is not None else lens.head
    words = lens.head == WORDS and trace.picture is None

    def run(on_layer: OnLayer, on_neurons: OnNeurons) -> Any:
        return run_eager(lens, inputs, plan, on_layer, neurons=(wanted, _of_row(lens, inputs, row, on_neurons)))

    def run_exactly(ours: bool, on_layer: OnLayer, on_neurons: OnNeurons) -> Any:
        return run_in_float64(lens, inputs, plan, ours, on_layer, (wanted, _of_row(lens, inputs, row, on_neurons)))

    return verify(
        Subject(
            module=lens.module,
            vocabulary=_vocabulary(lens, trace),
            run_eager=run,
            run_in_float64=run_exactly if can_run_in_float64(lens.module) else None,
            read_states=partial(stack_states, lens),
            read_answer=answer,
            read_classes=lambda found: None if words else classes(head, found, config, tokens),
            answer=answered,
            row=row,
            fed=fed,
            written=written,
            further=further,
            output=output if output is None or not lens.is_encoder_decoder else output[trace.prompt_length :],
            continued=behind,
            sinks=lens.has_sinks,
            independent=lens.uses_interface,
        ),
        trace,
    )


def _vocabulary(lens: Any, trace: Trace) -> Vocabulary | None:
    """What the model's ids stand for; None for pictures."""
    if trace.picture is not None:
        return None
    settings = getattr(lens.module, "generation_config", None)
    languages = getattr(lens, "languages", None)  # the chosen one may be written first
    forced = lens.is_encoder_decoder and (languages is not None or forced_first_id(lens.module) is not None)
    return vocabulary(lens.tokenizer, settings, lens.config.get_text_config().vocab_size, forced=forced)


def _fed(lens: Any, inputs: dict[str, Tensor], row: int) -> dict[str, list[int]]:
    """Stack -> the ids that were read, with padding; none of a stack that hears."""
    names = {"encoder": "input_ids", "decoder": "decoder_input_ids"}
    names = names if lens.is_encoder_decoder else {lens.single_stack: "input_ids"}
    return {stack: inputs[name][row].tolist() if name in inputs else [] for stack, name in names.items()}


def _continued(inputs: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """The inputs of one text with what was written behind it."""
    behind = {name: one[:, -1:].expand(-1, len(ids)) for name, one in inputs.items()}
    behind["input_ids"] = torch.tensor([list(ids)], device=inputs["input_ids"].device)
    return {name: torch.cat([one, behind[name]], dim=1) for name, one in inputs.items()}


def neuron_rows(
    lens: Any, inputs: dict[str, Tensor], row: int, plan: EditPlan | None, neurons: Mapping[str, Array]
) -> dict[str, NeuronRows]:
    """Which layers of each stack the neurons of a trace belong to; empty where nobody asked for them.

    Args:
        neurons: stack -> [layer, token, d_ff].
    """
    found = {}
    for stack, array in neurons.items():
        with suppress(InputError):  # compared with nothing, and said so
            rows = lens.take_pass_apart(inputs, row, plan, None, "neuron_rows", stack)
            found[stack] = NeuronRows(array.shape[-1], rows)
    return found


def _of_row(lens: Any, inputs: dict[str, Tensor], row: int, on_neurons: OnNeurons) -> OnNeurons:
    """Hands on the neurons of one text of a batch, whichever way the family keeps its tokens. [token, d_ff]

    Of a clip those of the first frame, which alone is shown.
    """
    texts, frames = len(next(iter(inputs.values()))), lens.frames_of_tokens
    shown = [token for token, frame in enumerate(frames) if frame <= 0] if frames else slice(None)
    return lambda stack, layer, found: on_neurons(stack, layer, found.reshape(texts, -1, found.shape[-1])[row][shown])


def verify_probe(lens: Any, inputs: dict[str, Tensor], plan: EditPlan | None, trace: Trace, probe: Probe) -> Check:
    """The verdict on a probe: the library's own code repeats it, of a lens and of effects some parts."""
    shown = trace if probe.neurons is None else replace(trace, neurons=dict(probe.neurons))
    comparison = Comparison(shown, limits(getattr(torch, lens.dtype)))

    def answered(silent: EditPlan | None, depth: int | None = None) -> Tensor:
        return answer(run_eager(lens, inputs, silent, _ignore, depth))[0]

    if probe.lens is not None:
        for depth in depths_to_repeat(len(probe.lens[0])):
            add_lens(comparison, probe.lens, depth, answered(plan, depth))
    if probe.effects is not None:
        whole = answered(plan)
        for place in heads_to_repeat(probe.effects):
            without = answered(replace(plan or EditPlan(Edits()), silenced=[place]))
            kind, layer, head = place
            found = float(probe.effects[kind][layer, head])
            add_effect(comparison, place, found, whole, without, in_bits=probe.in_bits)
    if probe.guess is not None:
        position, guessed = probe.guess
        logits = word_logits(run_eager(lens, masked(lens, inputs, position), plan, _ignore))
        if logits is None:
            comparison.leave_out("guess")
        else:
            add_guess(comparison, guessed, logits[0, position])
    if probe.neurons is not None:
        _add_neurons(lens, inputs, plan, comparison, probe.neurons)
    return comparison.probe_check(HOW, independent=lens.uses_interface)


def _add_neurons(
    lens: Any, inputs: dict[str, Tensor], plan: EditPlan | None, comparison: Comparison, neurons: Mapping[str, Array]
) -> None:
    """Compare the neurons of one text, [layer, token, d_ff] by stack, with those of a pass of the library's own."""
    wanted = neuron_rows(lens, inputs, 0, plan, neurons)
    run_eager(lens, inputs, plan, _ignore, neurons=(wanted, _of_row(lens, inputs, 0, comparison.add_neurons)))
    if not all(comparison.has_neurons(stack, len(one)) for stack, one in neurons.items()):
        comparison.leave_out("neurons")


def _ignore(*_: object) -> None:
    """Weights and vectors, which a probe does not need."""
