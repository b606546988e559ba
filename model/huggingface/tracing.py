"""Traces of the texts of a batch, put together from one pass of a Hugging Face model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

from torch import Tensor

from model.arrays.torch_to_numpy import stack_layers
from model.attention.edit_plan import EditPlan
from model.attention.record import Record
from model.huggingface.answers import WORDS, answer, classes, word_logits
from model.huggingface.generation import answer_ids
from model.huggingface.inputs import Encoding
from model.huggingface.opened_model import OpenedModel, forward_inputs, stack_names
from model.huggingface.recording.detection import residual_stream
from model.huggingface.recording.layers import Layers, build_attention
from model.huggingface.recording.word_scores import WordScores, word_scores
from model.tokenization.encoding import unknown_token_notes
from model.tokenization.labels import predicted_labels
from model.trace.check import Check
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.trace import Target, Trace

# What a model that is given a text alone reads besides: note -> the library's names of such inputs.
READ_BESIDES = {
    "also_pictures": {"pixel_values", "pixel_values_videos"},
    "also_sounds": {"input_features", "input_values"},
    "also_places": {"bbox"},
}


class TracedModel(OpenedModel, Protocol):
    """What a trace needs of its model besides; `model.huggingface.text_model.TextModel` is one."""

    config: Any
    layer_index: Any

    def layers_of(self, result: Any, recorded: Record, rows: int) -> Layers: ...

    def notes(self) -> tuple[tuple[str, str], ...]: ...

    def verify(self, *args: Any, **options: Any) -> Check: ...

    def find_projections(self, *args: Any) -> MultiHeadLayer | NotMultiHead: ...

    def take_pass_apart(self, *args: Any) -> Any: ...


def stack_states(lens: Any, result: Any) -> dict[str, list[Tensor]]:
    """Stack -> hidden states of each layer, from the library's output object. [batch, token, d_model]"""
    stacks = stack_names(lens)
    prefix = "{}_" if lens.is_encoder_decoder else ""
    return {stack: residual_stream(result[f"{prefix.format(stack)}hidden_states"], lens.config) for stack in stacks}


@dataclass(frozen=True, eq=False)
class TracedBatch:
    """One pass over a batch of texts.

    Attributes:
        inputs: what the module was fed; result: the library's output object; recorded: its attention calls.
        plan, edits: the changes made to the pass.
    """

    lens: TracedModel
    inputs: dict[str, Tensor]
    result: Any
    recorded: Record
    plan: EditPlan | None
    edits: Edits

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks of the model, the one that answers last."""
        return stack_names(self.lens)

    @cached_property
    def layers(self) -> Layers:
        return self.lens.layers_of(self.result, self.recorded, len(next(iter(self.inputs.values()))))

    @cached_property
    def states(self) -> dict[str, list[Tensor]]:
        """As `stack_states`, of this pass."""
        return stack_states(self.lens, self.result)

    @cached_property
    def scores(self) -> Tensor:
        """What the model answers. [batch, token or 1, ...]"""
        return answer(self.result)

    @cached_property
    def logits(self) -> Tensor | None:
        """Scores of words. [batch, token, vocab]"""
        return word_logits(self.result) if self.lens.head == WORDS else None

    def kept_scores(self, row: int) -> WordScores | None:
        """What is kept of the scores of words of one text; None where there are none."""
        if self.logits is None:
            return None
        prefix = f"{self.stacks[-1]}_" if self.lens.is_encoder_decoder else ""
        return word_scores(self.lens, self.logits[row], lambda: self.result[f"{prefix}hidden_states"][-1][row])

    def trace(self, row: int, target: Target, encoding: Encoding, *, continues: bool) -> Trace:
        """The trace of one text or sound of the batch.

        Args:
            row: its place in the batch; encoding: what was read of it.
            continues: its continuation goes on from this pass.
        """
        lens, stacks, scores = self.lens, self.stacks, self.kept_scores(row)
        # For their type alone, where only states are kept.
        answered_scores = self.scores[row] if scores is None or not scores.by_head else self.scores[row, :1].clone()
        tokens = {stack: encoding.tokens[stack].padded(self.states[stack][0].shape[1]) for stack in stacks}
        attentions = {
            kind: build_attention(kind, rows[row], tokens, lens.layer_index.get(kind, ()))
            for kind, rows in self.layers.items()
        }
        predicted, answered = self._words(row, target, encoding, continues)
        begun = encoding.prompt_length if lens.is_encoder_decoder else 0  # language and task are no part of an output
        output = None if answered is None else str(lens.tokenizer.decode(answered[begun:], skip_special_tokens=True))
        writes = predicted is not None or lens.is_encoder_decoder
        return Trace(
            text=encoding.text,
            attentions=attentions,
            hidden_states=stack_layers(self.states, row),
            neurons={},
            tokens=tokens,
            ids={stack: tuple(encoding.ids[stack]) for stack in stacks},
            prompt_length=encoding.prompt_length if writes else 0,
            predicted=predicted,
            logits=None if scores is None else scores.array(lens),
            output=output,
            notes=(*lens.notes(), *self._notes(), *encoding.notes, *self._unknown(encoding)),
            device=lens.device,
            edits=self.edits,
            run_check=partial(
                lens.verify,
                self.inputs,
                answered_scores,
                row,
                plan=self.plan,
                output=answered,
                generated=predicted is not None and target is None,
            ),
            find_layer=partial(lens.find_projections, self.inputs, row, self.plan),
            take_apart=partial(lens.take_pass_apart, self.inputs, row, self.plan, scores),
            sound=encoding.sound,
            classes=classes(lens.head, self.scores[row], lens.config, encoding.tokens[stacks[-1]].texts),
        )

    def _notes(self) -> list[tuple[str, str]]:
        """Notes on states that are none of the residual stream."""
        return [
            ("narrow_state", stack)
            for stack, states in self.states.items()
            if len(states)
            < len(self.result[f"{stack}_hidden_states" if self.lens.is_encoder_decoder else "hidden_states"])
        ]

    def _unknown(self, encoding: Encoding) -> tuple[tuple[str, str], ...]:
        """A note on the words that the tokenizer does not know."""
        return unknown_token_notes(self.lens.tokenizer, encoding.text, encoding.ids[self.stacks[0]])

    def _words(self, row: int, target: Target, encoding: Encoding, continues: bool) -> tuple[Any, list[int] | None]:
        """Labels of the likeliest next tokens, and the ids that were written or forced; None where there are none."""
        lens, predicted, answered = self.lens, None, None
        if self.logits is not None and "decoder" in self.stacks:
            fed = self.inputs["decoder_input_ids" if lens.is_encoder_decoder else "input_ids"][row].tolist()
            predicted = predicted_labels(lens.tokenizer, fed, self.logits[row].argmax(-1).tolist())
            first_pass = self.result if continues else None
            ids = encoding.ids["decoder"]
            answered = answer_ids(lens, ids, encoding.prompt_length, target, self.plan, first_pass)
        return predicted, answered


def model_notes(lens: Any) -> tuple[tuple[str, str], ...]:
    """Notes (id, detail) that hold for every trace of a model."""
    halves = {"other_half": lens.other_half == "vision", "sound_half": lens.other_half == "audio"}
    read = forward_inputs(lens.module) if lens.takes == "text" else frozenset()
    halves |= {note: bool(names & read) for note, names in READ_BESIDES.items()}
    conditions = {"weights_only": not lens.uses_interface, "sinks": lens.has_sinks, **halves}
    notes = [(note, type(lens.module).__name__) for note, holds in conditions.items() if holds]
    notes += [("kind_hidden", kind) for kind in lens.hidden_kinds]
    if lens.adapter:
        notes.append(("adapter", lens.adapter))
    if lens.other_layers:
        notes.append(("other_layers", lens.other_layers))
    return tuple(notes)
