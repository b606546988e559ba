"""Hugging Face text models as opened models: loading, tracing, generation and probes.

`transformers.AttentionInterface` passes every attention call of a model to `model.attention.formula.attention`.
Families that do not use the interface run with their own eager attention, which returns weights but no q, k and v, and
allows no edits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import rows_to_numpy, stack_layers
from model.arrays.types import Array
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.projections import find_projections
from model.attention.record import Record, record
from model.errors import check_length
from model.generation.decoding import Decoding, DecodingResult
from model.huggingface.attention_interface import HEADLIGHT, name_attention_calls
from model.huggingface.eager_run import library_attentions, run_eager
from model.huggingface.generation import forced_ids, generate, output_ids, output_text, pad_ids
from model.huggingface.hooks import hook_last_block, hook_positions
from model.huggingface.layers import build_attention, recorded_layers, weights_only_layers
from model.huggingface.opening import decoder_start_id, load_pretrained, max_input_tokens
from model.huggingface.positions import detect_scheme
from model.huggingface.probes import guess, layer_logits, outputs
from model.measures.logit_lens import logit_lens
from model.measures.silencing import head_effects
from model.positions.scheme import PositionScheme
from model.tokenization.encoding import encode, unknown_token_notes
from model.tokenization.labels import label_ids, predicted_labels
from model.trace.check import Check
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Target, Trace
from model.verification.huggingface_reference import verify


class TextModel:
    """A Hugging Face model with its tokenizer; a `model.trace.lens.Lens`.

    Attributes:
        writes: whether it predicts a next token.
        uses_interface: False where the family does not use the attention interface, so q, k and v are not recorded.
        single_stack: what a single stack is, "encoder" or "decoder", by its masks.
        has_sinks: True where part of the attention goes to no token (attention sinks), so rows sum to less than 1.
        heads: attention kind -> (layers, heads); empty where edits are not possible.
    """

    takes = "text"
    head_effects, logit_lens = head_effects, logit_lens
    heads: Mapping[str, tuple[int, int]]

    def __init__(self, module: Any, tokenizer: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device
        self.config = module.config
        self.is_encoder_decoder = bool(self.config.is_encoder_decoder)
        self.max_tokens = max_input_tokens(self.module, tokenizer)
        self.decoder_start = decoder_start_id(self.module, tokenizer) if self.is_encoder_decoder else -1
        self._install_attention()

    def _install_attention(self) -> None:
        """Route attention through the one attention function, hook positions and the last layer, set capabilities."""
        self.single_stack = "encoder"
        self.dtype = dtype_name(self.module)
        self.has_sinks = any(name.endswith(".sinks") for name, _ in self.module.named_parameters())
        self._detect_interface()
        self.can_move_positions = hook_positions(self.module)
        self.last_block = hook_last_block(self.module.get_decoder() if self.is_encoder_decoder else self.module)
        self.writes = self.is_encoder_decoder or (
            self.single_stack == "decoder" and self.module.get_output_embeddings() is not None
        )

    @classmethod
    def open(cls, name: str | Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> TextModel:
        """A model from a hub name or a folder. No code that comes with the weights is executed.

        Raises:
            ValueError: there is no such device, no tokenizer, or weights are missing.
            OSError: there is no such model.
        """
        module, tokenizer = load_pretrained(name, dtype)
        return cls(module, tokenizer, find_device(device))

    def trace(self, text: str, target: Target = None, edits: Edits | None = None) -> Trace:
        """The trace of one pass: attention, hidden states and logits of every layer.

        Args:
            text: what the encoder reads, or a decoder-only model's prompt.
            target: encoder-decoder: the output to force, as text or as ids; decoder-only: what follows the prompt.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: a text is blank or too long, or an edit cannot be applied.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several texts, run as one padded batch; those of shorter ones include "<pad>" tokens.

        With edits each text runs alone: edits name positions, which padding must not move.
        """
        if edits and len(texts) > 1:
            return tuple(self.trace(text, target, edits) for text, target in zip(texts, targets, strict=True))
        inputs, encoded = self._inputs(texts, targets, plan := plan_edits(self, edits))
        # The continuation of a prompt reuses the keys and values of this pass.
        continues = [*targets] == [None] and self.writes and not self.is_encoder_decoder
        use_cache = continues and plan is None and self.uses_interface
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            result = self.run(self.module, inputs, eager=not self.uses_interface, cached=use_cache)
        layers = self._layers(result, recorded, len(texts))
        stacks = ("encoder", "decoder") if self.is_encoder_decoder else (self.single_stack,)
        logits: Tensor | None = getattr(result, "logits", None)
        answer = result.last_hidden_state if logits is None else logits
        predicts = logits is not None and "decoder" in stacks
        prefix = {stack: f"{stack}_" if self.is_encoder_decoder else "" for stack in stacks}
        states = {stack: result[f"{prefix[stack]}hidden_states"] for stack in stacks}
        longest = {stack: max(len(one[stack][0]) for one in encoded) for stack in stacks}
        read_ids, traces = inputs.get("decoder_input_ids", inputs["input_ids"]).tolist(), []
        for row, (text, target, one) in enumerate(zip(texts, targets, encoded, strict=True)):
            ids = {stack: tuple(one[stack][0]) for stack in stacks}
            lengths = {stack: len(ids[stack]) for stack in stacks}
            tokens = {stack: one[stack][1].padded(longest[stack]) for stack in stacks}
            attentions = {kind: build_attention(kind, rows[row], tokens) for kind, rows in layers.items()}
            token_logits = None if logits is None else rows_to_numpy(logits[row])
            predicted = output = None
            if predicts and token_logits is not None:
                predicted = predicted_labels(self.tokenizer, read_ids[row], token_logits)
            if predicts or self.is_encoder_decoder:
                output = output_text(
                    self, ids["decoder"], one["prompt_length"], target, plan, result if use_cache else None
                )
            trace = Trace(
                text=text,
                attentions=attentions,
                hidden_states=stack_layers(states, row),
                neurons={},
                tokens=tokens,
                ids=ids,
                prompt_length=one["prompt_length"] if predicts or self.is_encoder_decoder else 0,
                predicted=predicted,
                logits=token_logits,
                output=output,
                notes=(*self._notes(), *unknown_token_notes(self.tokenizer, text, one[stacks[0]][0])),
                device=self.device,
                edits=edits or UNCHANGED,
                run_check=partial(self._verify, inputs, attentions, answer, row, lengths, plan=plan),
                find_layer=partial(self._find_projections, inputs, row, plan),
            )
            traces.append(trace)
        return tuple(traces)

    def _inputs(
        self, texts: Sequence[str], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """The module's keyword arguments, and for each text: stack -> (ids, labels), and "prompt_length"."""
        encoded: list[dict[str, Any]] = []
        for text, target in zip(texts, targets, strict=True):
            source, labels = encode(self.tokenizer, text, "text", self.max_tokens)
            if self.is_encoder_decoder:
                output = output_ids(self, source, target, plan)
                decoder = (output, label_ids(self.tokenizer, output))
                encoded.append({"encoder": (source, labels), "decoder": decoder, "prompt_length": 1})
                continue
            prompt_length = len(source)
            if target:  # cut into tokens by itself, so that its first piece cannot merge with the prompt's last
                source = [*source, *forced_ids(self, target)]
                check_length("text", len(source), self.max_tokens)
                labels = label_ids(self.tokenizer, source)
            encoded.append({self.single_stack: (source, labels), "prompt_length": prompt_length})
        first_stack = "encoder" if self.is_encoder_decoder else self.single_stack
        ids, padding_mask = pad_ids(self, [one[first_stack][0] for one in encoded])
        inputs = {"input_ids": ids, "attention_mask": padding_mask}
        if self.is_encoder_decoder:
            inputs["decoder_input_ids"], _ = pad_ids(self, [one["decoder"][0] for one in encoded])
        return inputs, encoded

    def positions(self) -> PositionScheme:
        """The model's positional encoding."""
        return detect_scheme(self.module)

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """The library's output object of one pass of `module`, a copy of the model's, with all hidden states.

        Args:
            inputs: the module's keyword arguments.
            eager: return all weights, too; cached: return keys and values.
        """
        with name_attention_calls(module.get_encoder() if self.is_encoder_decoder else None, self.single_stack):
            return module(
                **inputs, output_hidden_states=True, output_attentions=eager, use_cache=cached, return_dict=True
            )

    def _detect_interface(self) -> None:
        """Set the attention implementation, and what its calls in a test pass show: heads, and the stack's kind."""
        self.module.set_attn_implementation(HEADLIGHT)
        recorded, result = Record(), None
        try:
            with torch.inference_mode(), record() as recorded:
                self.run(self.module, self._dummy_inputs(), eager=False)
        except NotImplementedError:  # an attention with extras that the formula does not have
            recorded = Record()
        self.uses_interface = bool(recorded.calls)
        if not self.uses_interface:
            self.module.set_attn_implementation("eager")
            with torch.inference_mode():
                result = self.run(self.module, self._dummy_inputs(), eager=True)
        layers = self._layers(result, recorded, 1)
        # A single stack whose masks all forbid later keys is a decoder.
        bidirectional = (np.triu(one.array("allowed"), 1).any() for one in layers.get("encoder", [[]])[0])
        if not self.is_encoder_decoder and not any(bidirectional):
            self.single_stack = "decoder"
            layers = {"decoder": layers["encoder"]}
        heads = {kind: (len(rows[0]), rows[0][0].shape[0]) for kind, rows in layers.items()}
        self.heads = heads if self.uses_interface else {}

    def _dummy_inputs(self) -> dict[str, Tensor]:
        """The smallest input that runs every layer."""
        ids = torch.zeros(1, 2, dtype=torch.long, device=self.device)
        return {"input_ids": ids} | ({"decoder_input_ids": ids} if self.is_encoder_decoder else {})

    def _notes(self) -> tuple[tuple[str, str], ...]:
        """Notes (id, detail) that hold for every trace of this model."""
        conditions = {"weights_only": not self.uses_interface, "sinks": self.has_sinks}
        return tuple((note, type(self.module).__name__) for note, holds in conditions.items() if holds)

    def _verify(self, inputs: dict[str, Tensor], *args: Any, plan: EditPlan | None) -> Check:
        """The verdict of `model.verification.huggingface_reference` on one sentence."""
        eager = partial(run_eager, self, inputs, plan)
        return verify(eager, *args, sinks=self.has_sinks, independent=self.uses_interface)

    def _find_projections(
        self, inputs: dict[str, Tensor], row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> MultiHeadLayer | NotMultiHead:
        """The multi-head layer around a recorded call, from one more pass."""
        with apply_edits(plan):
            return find_projections(self.module, partial(self.run, inputs=inputs, eager=False), row, recorded)

    def _layers(self, result: Any, recorded: Record, rows: int) -> dict[str, list[list[RecordedLayer]]]:
        """Kind -> sentence of the batch -> layer."""
        if self.uses_interface:
            return recorded_layers(recorded, rows)
        return weights_only_layers(
            library_attentions(result, self.single_stack if not self.is_encoder_decoder else None), rows
        )

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """The output for a text, or its continuation, with a chosen decoding method."""
        ids, _ = encode(self.tokenizer, text, "text", self.max_tokens)
        return generate(self, ids, how, plan_edits(self, edits))

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Readable label of each id on its own."""
        return label_ids(self.tokenizer, ids).texts

    def guess(self, text: str, position: int, edits: Edits | None = None) -> Array | None:
        """Logits [vocab] of a position whose token is masked; None where the model was not trained for that."""
        plan = plan_edits(self, edits)
        return guess(self, self._inputs([text], [None], plan)[0], position, plan)

    def outputs(
        self, text: str, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """Output for one text, from one pass or from one pass for each silenced head.

        Args:
            silenced: heads to silence, one a pass; empty for one pass without.

        Returns:
            Logits [pass, token, vocab] and True; without an output head the last hidden states [pass, token, d_model]
            and False.
        """
        plan = plan_edits(self, edits)
        return outputs(self, self._inputs([text], [target], plan)[0], plan, silenced)

    def layer_logits(self, text: str, target: Target = None, edits: Edits | None = None) -> Tensor | None:
        """Logits from each layer's states through the output head (logit lens, nostalgebraist 2020).

        Returns:
            [layer + 1, token, vocab], row 0 for the embeddings; None where the model has no output head.
        """
        plan = plan_edits(self, edits)
        return layer_logits(self, self._inputs([text], [target], plan)[0], plan)
