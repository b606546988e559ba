"""The from-scratch decoder alone as an opened model: tracing, continuation and probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from model.arrays.lazy import LazySequence
from model.arrays.torch_to_numpy import rows_to_numpy, stack_layers
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.record import Record, record
from model.generation.search import NextLogits, decode
from model.tokenization.length import check_length
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.tokens import Tokens
from model.trace.trace import Target, Trace
from model.translator.decoder_only import DecoderOnly
from model.translator.labels import TranslatorVocabulary, label_tokens, predicted_label
from model.translator.own_model import OwnModel
from model.translator.transformer import KeyValueCache
from model.turns import slices
from model.verification.references.decoder_reference import verify

NEW_TOKENS = 20  # that it continues a text by; a longer continuation is asked for with `decode`


class LanguageModel(OwnModel):
    """A from-scratch decoder that continues a text, with its tokenizer; a `model.trace.lens.Lens`."""

    architecture = DecoderOnly
    is_encoder_decoder = False

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several texts, run as one padded batch; those of shorter ones include "<pad>" tokens.

        With edits each text runs alone: edits name positions, which padding must not move.

        Args:
            targets: one for each text, as in `trace`.
        """
        if edits and len(texts) > 1:
            return tuple(self.trace(text, target, edits) for text, target in zip(texts, targets, strict=True))
        config, plan = self.config, plan_edits(self, edits)
        prompts = [[config.bos, *self._encode(text, "text").ids] for text in texts]
        rows = [self._with_target(prompt, target) for prompt, target in zip(prompts, targets, strict=True)]
        fed = self._pad(rows)
        with torch.inference_mode(), apply_edits(plan), record() as recorded, slices():
            hidden = self.module.decode(fed)
            logits = self.module.project(hidden[-1])
        neurons = [recorded.activations["decoder", layer] for layer in range(config.decoder_layers)]
        token_logits = [rows_to_numpy(one) for one in logits.unbind()]
        tokens = [label_tokens(self.tokenizer, config, one) for one in fed.unbind()]
        outputs = [self._output(*one, plan) for one in zip(prompts, rows, targets, strict=True)]
        return tuple(
            Trace(
                text=text,
                attentions={"decoder": self._attention(recorded, row, tokens[row])},
                hidden_states=stack_layers({"decoder": hidden}, row),
                neurons=stack_layers({"decoder": neurons}, row),
                tokens={"decoder": tokens[row]},
                ids={"decoder": tuple(rows[row])},
                prompt_length=len(prompts[row]),
                predicted=LazySequence(
                    len(token_logits[row]), partial(predicted_label, self.tokenizer, config, token_logits[row])
                ),
                logits=token_logits[row],
                output=None if (written := outputs[row]) is None else str(self.tokenizer.decode(written)),
                notes=(),
                device=self.device,
                edits=edits or UNCHANGED,
                run_check=partial(self._verify, fed, row, plan, written, targets[row] is None),
                find_layer=partial(self._find_projections, (fed,), row, plan),
                take_apart=partial(self.take_pass_apart, (fed,), row, plan, logits),
            )
            for row, text in enumerate(texts)
        )

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """The continuation of a text with a chosen decoding method.

        Args:
            how: method, its parameters, and the longest continuation.

        Raises:
            InputError: the text is blank or too long, or an edit cannot be applied.
        """
        return self._continue([self.config.bos, *self._encode(text, "text").ids], how, plan_edits(self, edits))

    def outputs(
        self, text: str, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """Logits of one text, from one pass or from one pass for each silenced head.

        Args:
            silenced: heads to silence, one a pass; empty for one pass without.

        Returns:
            [pass, token, vocab], and True, as the numbers are logits.
        """
        plan, fed = plan_edits(self, edits), self._inputs(text, target)
        plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
        with torch.inference_mode(), apply_edits(plan):
            return self.module(fed.expand(max(len(silenced), 1), -1)), True

    def layer_logits(self, text: str, target: Target = None, edits: Edits | None = None) -> Iterator[Tensor]:
        """Logits from each layer's states (logit lens, nostalgebraist 2020). Of each layer [1, token, vocab]"""
        with torch.inference_mode(), apply_edits(plan_edits(self, edits)):
            states = self.module.decode(self._inputs(text, target))
        for state in states:
            with torch.inference_mode():
                logits = self.module.project(state)
            yield logits

    def _inputs(self, text: str, target: Target) -> Tensor:
        """Ids of a text and what is forced behind it, as the module takes them. int64 [1, token]"""
        return self._pad([self._with_target([self.config.bos, *self._encode(text, "text").ids], target)])

    def _with_target(self, prompt: Sequence[int], target: Target) -> list[int]:
        """Ids of a prompt and of what is forced behind it."""
        ids = [*prompt, *(self._forced(target) if target else ())]
        check_length("text", len(ids), self.max_tokens)
        return ids

    def _output(
        self, prompt: Sequence[int], fed: Sequence[int], target: Target, plan: EditPlan | None
    ) -> list[int] | None:
        """Ids behind the prompt: forced, or the model's own where `target` is None; None for an empty target."""
        if target is not None and not target:
            return None
        ids = fed[len(prompt) :] if target else self._continue(prompt, Decoding(max_new_tokens=NEW_TOKENS), plan).ids
        return list(ids)

    def _continue(self, prompt: Sequence[int], how: Decoding, plan: EditPlan | None) -> DecodingResult:
        """What a decoding method writes behind a prompt; nothing where the model can read no more."""
        config = self.config
        free_tokens = self.max_tokens - len(prompt)
        if free_tokens < 1:
            return DecodingResult((), ended=False)
        how = replace(how, max_new_tokens=min(how.max_new_tokens, free_tokens))
        banned = [config.pad, config.bos, config.unk]
        return decode(self._next_logits(how, plan), list(prompt), [config.eos], banned, how)

    def _next_logits(self, how: Decoding, plan: EditPlan | None) -> NextLogits:
        """A function from prefixes, all of one length, to the logits of their next token. [prefix, vocab]"""
        # One growing prefix needs only its new token; edits name positions in the whole text, so they run it all.
        past = KeyValueCache() if plan is None and how.method != "beam" else None

        def next_logits(prefixes: Sequence[Sequence[int]]) -> Tensor:
            with apply_edits(plan):
                states = self.module.decode(torch.tensor(prefixes, device=self.device), past)[-1]
            logits: Tensor = self.module.project(states[:, -1])
            return logits

        return next_logits

    def _verify(self, *args: Any) -> Check:
        """The verdict of `model.verification.references.decoder_reference` on one text."""
        return verify(self.module, TranslatorVocabulary(self.tokenizer, self.config), *args)

    def _attention(self, recorded: Record, row: int, tokens: Tokens) -> Attention:
        """The self-attention of one text of a batch."""
        config = self.config
        calls = tuple(recorded.call("decoder", layer, row) for layer in range(config.decoder_layers))
        return Attention("decoder", tokens, tokens, config.num_heads, config.d_model // config.num_heads, calls)
