"""Hugging Face text models: opening, tracing and decoding through the one attention function.

`transformers.AttentionInterface` hands every attention call of a model to `model.attention.formula.attention`. Families
that do not use the interface run with their own eager attention, which gives weights but neither q, k, v nor a place
for edits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import stacked, table
from model.arrays.types import Array
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, editing, plan_edits
from model.attention.projections import find_layer
from model.attention.record import Record, record
from model.errors import check_ids, check_length
from model.generation.decoding import Decoded, Decoding
from model.huggingface.attention_interface import IMPLEMENTATION, naming_calls
from model.huggingface.eager_run import run_eager, stock_attentions
from model.huggingface.generation import pad, write
from model.huggingface.hooks import last_block, watch_positions
from model.huggingface.layers import attention_of, recorded_layers, weights_only_layers
from model.huggingface.opening import first_token, most_tokens, read_model
from model.huggingface.positions import scheme
from model.huggingface.probes import guess, layer_logits, outputs
from model.measures.logit_lens import layer_words
from model.measures.silencing import head_effects
from model.positions.scheme import PositionScheme
from model.tokenization.labels import encode, following, labelled, unknown
from model.trace.check import Check
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.layer_inputs import Layer, NoLayer
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Target, Trace
from model.verification.huggingface_reference import verify

NEW_TOKENS = 20  # how far a decoder-only model continues the text


class TextModel:
    """A Hugging Face model with its tokenizer; public names as `model.translator.translator.Translator`.

    Attributes:
        writes: whether it chooses a next token.
        sees_inside: False where the family does not use the attention interface, so q, k and v stay unseen.
        single: what a single stack is, "encoder" or "decoder", as its mask says.
        has_sinks: True where part of the attention goes to no token at all, so rows add up to less than 1.
        heads: attention kind -> (layers, heads); empty where the family lets nothing be changed.
    """

    takes = "text"
    head_effects, layer_words = head_effects, layer_words
    heads: Mapping[str, tuple[int, int]]

    def __init__(self, module: Any, tokenizer: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device
        self.config = module.config
        self.is_pair = bool(self.config.is_encoder_decoder)
        self.max_tokens = most_tokens(self.module, tokenizer)
        self.start = first_token(self.module, tokenizer) if self.is_pair else -1
        self._join()

    def _join(self) -> None:
        """Switch to our attention function, and find out what can be seen and changed in this model."""
        self.single = "encoder"
        self.dtype = dtype_name(self.module)
        self.has_sinks = any(name.endswith(".sinks") for name, _ in self.module.named_parameters())
        self._try_interface()
        self.can_move_positions = watch_positions(self.module)
        self.last_block = last_block(self.module.get_decoder() if self.is_pair else self.module)
        self.writes = self.is_pair or (self.single == "decoder" and self.module.get_output_embeddings() is not None)

    @classmethod
    def open(cls, name: str | Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> TextModel:
        """Open a hub name or a folder. No code that comes with the weights is run; pickles load weights only."""
        module, tokenizer = read_model(name, dtype)
        return cls(module, tokenizer, find_device(device))

    def trace(self, text: str, target: Target = None, edits: Edits | None = None) -> Trace:
        """Run the model on a text and keep what every layer computed.

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
        """Run several texts as one padded batch; the shorter ones' traces show their "<pad>" tokens.

        With edits each runs alone: they name places, which padding must not move.
        """
        if edits and len(texts) > 1:
            return tuple(self.trace(text, target, edits) for text, target in zip(texts, targets, strict=True))
        inputs, read = self._inputs(texts, targets, plan := plan_edits(self, edits))
        with torch.inference_mode(), editing(plan), record() as kept:
            # What is written next goes on from this pass.
            goes_on = [*targets] == [None] and self.writes and not self.is_pair and plan is None and self.sees_inside
            result = self.run(self.module, inputs, eager=not self.sees_inside, cached=goes_on)
        layers = self._layers(result, kept, len(texts))
        stacks = ("encoder", "decoder") if self.is_pair else (self.single,)
        logits: Tensor | None = getattr(result, "logits", None)
        answer = result.last_hidden_state if logits is None else logits
        predicts = logits if "decoder" in stacks else None
        states = {stack: result[f"{stack}_hidden_states" if self.is_pair else "hidden_states"] for stack in stacks}
        fed, traces = inputs.get("decoder_input_ids", inputs["input_ids"]).tolist(), []
        for row, (text, target, ids) in enumerate(zip(texts, targets, read, strict=True)):
            lengths = {stack: len(ids[stack][0]) for stack in stacks}
            longest = {stack: max(len(one[stack][0]) for one in read) for stack in stacks}
            tokens = {stack: ids[stack][1].padded(longest[stack]) for stack in stacks}
            attentions = {kind: attention_of(kind, rows[row], tokens) for kind, rows in layers.items()}
            numbers = None if logits is None else table(logits[row])
            output: str | None = None
            if self.is_pair:
                output = self.tokenizer.decode(ids["decoder"][0], skip_special_tokens=True)
            elif predicts is not None and target is None:
                how = Decoding(longest=NEW_TOKENS)
                written = write(self, ids["decoder"][0], how, plan, result if goes_on else None)
                output = self.tokenizer.decode(written.ids, skip_special_tokens=True)
            elif predicts is not None and target:
                output = self.tokenizer.decode(ids["decoder"][0][ids["given"][0] :], skip_special_tokens=True)
            trace = Trace(
                text=text,
                attentions=attentions,
                hidden_states=stacked({stack: states[stack] for stack in stacks}, row),
                neurons={},
                tokens=tokens,
                ids={stack: tuple(ids[stack][0]) for stack in stacks},
                given=1 if self.is_pair else ids["given"][0] if predicts is not None else 0,
                predicted=None if predicts is None or numbers is None else following(self.tokenizer, fed[row], numbers),
                logits=numbers,
                output=output,
                notes=(*self._notes(), *unknown(self.tokenizer, text, ids[stacks[0]][0])),
                device=self.device,
                edits=edits or UNCHANGED,
                check=partial(self._verify, inputs, attentions, answer, row, lengths, plan=plan),
                find=partial(self._find, inputs, row, plan),
            )
            traces.append(trace)
        return tuple(traces)

    def _inputs(
        self, texts: Sequence[str], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """What the module is fed, and for each text: stack -> (ids, labels), and how many tokens were given."""
        read: list[dict[str, Any]] = []
        for text, target in zip(texts, targets, strict=True):
            if self.is_pair:
                source = encode(self.tokenizer, text, "text", self.max_tokens)
                made = self._target(source[0], target, plan)
                read.append({"encoder": source, "decoder": (made, labelled(self.tokenizer, made))})
                continue
            ids, tokens = encode(self.tokenizer, text, "text", self.max_tokens)
            given = len(ids)
            if target:  # cut into tokens by itself, so that its first piece cannot merge with the prompt's last
                ids = [*ids, *self._ids(target)]
                check_length("text", len(ids), self.max_tokens)
                tokens = labelled(self.tokenizer, ids)
            read.append({self.single: (ids, tokens), "given": (given,)})
        first, real = pad(self, [one["encoder" if self.is_pair else self.single][0] for one in read])
        inputs = {"input_ids": first, "attention_mask": real}
        if self.is_pair:
            inputs["decoder_input_ids"], _ = pad(self, [one["decoder"][0] for one in read])
        return inputs, read

    def positions(self) -> PositionScheme:
        """How this model is told where its tokens stand."""
        return scheme(self.module)

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """One pass of a module that has this model's shape, all states kept."""
        with naming_calls(module.get_encoder() if self.is_pair else None, self.single):
            return module(
                **inputs, output_hidden_states=True, output_attentions=eager, use_cache=cached, return_dict=True
            )

    def _try_interface(self) -> None:
        """Switch to our attention function, or back to the library's own where the family ignores it."""
        self.module.set_attn_implementation(IMPLEMENTATION)
        kept = Record()
        try:
            with torch.inference_mode(), record() as kept:
                self.run(self.module, self._probe(), eager=False)
        except NotImplementedError:  # an attention with extras that the formula does not have
            kept = Record()
        self.sees_inside = bool(kept.calls)
        result = None
        if not self.sees_inside:
            self.module.set_attn_implementation("eager")
            with torch.inference_mode():
                result = self.run(self.module, self._probe(), eager=True)
        layers = self._layers(result, kept, 1)
        # A single stack in which nobody looks ahead is a decoder, as its masks say.
        ahead = (np.triu(one.array("allowed"), 1).any() for one in layers.get("encoder", [[]])[0])
        if not self.is_pair and not any(ahead):
            self.single = "decoder"
            layers = {"decoder": layers["encoder"]}
        found = {kind: (len(rows[0]), rows[0][0].shape[0]) for kind, rows in layers.items()}
        self.heads = found if self.sees_inside else {}

    def _probe(self) -> dict[str, Tensor]:
        """The smallest input that reaches every layer."""
        ids = torch.zeros(1, 2, dtype=torch.long, device=self.device)
        return {"input_ids": ids} | ({"decoder_input_ids": ids} if self.is_pair else {})

    def _notes(self) -> tuple[tuple[str, str], ...]:
        said = {"weights_only": not self.sees_inside, "sinks": self.has_sinks}
        return tuple((note, type(self.module).__name__) for note, holds in said.items() if holds)

    def _verify(self, inputs: dict[str, Tensor], *args: Any, plan: EditPlan | None) -> Check:
        eager = partial(run_eager, self, inputs, plan)
        return verify(eager, *args, sinks=self.has_sinks, independent=self.sees_inside)

    def _find(
        self, inputs: dict[str, Tensor], row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> Layer | NoLayer:
        with editing(plan):
            return find_layer(self.module, partial(self.run, inputs=inputs, eager=False), row, recorded)

    def _layers(self, result: Any, kept: Record, rows: int) -> dict[str, list[list[RecordedLayer]]]:
        """Kind -> sentence -> layer."""
        if self.sees_inside:
            return recorded_layers(kept, rows)
        return weights_only_layers(stock_attentions(result, self.single if not self.is_pair else None), rows)

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> Decoded:
        """Write the output of a text, or its continuation, in a chosen way."""
        ids, _ = encode(self.tokenizer, text, "text", self.max_tokens)
        return write(self, ids, how, plan_edits(self, edits))

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Tokens as people read them, each alone."""
        return labelled(self.tokenizer, ids).texts

    def guess(self, text: str, place: int, edits: Edits | None = None) -> Array | None:
        """Logits [vocab] of a place whose token is hidden; None where the model never learned to guess."""
        plan = plan_edits(self, edits)
        return guess(self, self._inputs([text], [None], plan)[0], place, plan)

    def outputs(
        self, text: str, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """What the model makes of one text: once, or once for each head in `silenced`, with that one silent.

        Returns:
            Logits [run, token, vocab] and True; or, where the model chooses no words, the last hidden states
            [run, token, d_model] and False.
        """
        plan = plan_edits(self, edits)
        return outputs(self, self._inputs([text], [target], plan)[0], plan, silenced)

    def layer_logits(self, text: str, target: Target = None, edits: Edits | None = None) -> Tensor | None:
        """The logit lens (nostalgebraist 2020): what each layer would say if the output head came right behind it.

        Returns:
            [layer + 1, token, vocab], row 0 for the embeddings; None where the model has no output head.
        """
        plan = plan_edits(self, edits)
        return layer_logits(self, self._inputs([text], [target], plan)[0], plan)

    def _target(self, source: Sequence[int], target: Target, plan: EditPlan | None) -> list[int]:
        if target is None:
            target = write(self, source, Decoding(longest=2 * len(source) + 10), plan).ids
        made = [self.start, *self._ids(target)]
        check_length("target", len(made), self.max_tokens)
        return made

    def _ids(self, target: str | Sequence[int]) -> list[int]:
        """The numbers of a forced output's tokens."""
        if isinstance(target, str):
            return encode(self.tokenizer, target, "target", self.max_tokens, special=False)[0]
        check_ids(target, self.config.get_text_config().vocab_size)
        return list(target)
