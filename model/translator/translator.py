"""The from-scratch encoder-decoder as an opened model: tracing, generation and probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from tokenizers import Encoding
from torch import Tensor

from model.arrays.lazy import LazySequence
from model.arrays.torch_to_numpy import rows_to_numpy, stack_layers
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.record import Record, record
from model.generation.search import decode
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.tokens import Tokens
from model.trace.trace import Target, Trace
from model.translator.generation import decode_greedily
from model.translator.labels import TranslatorVocabulary, label_tokens, predicted_label
from model.translator.own_model import OwnModel
from model.translator.text_preparation import prepare_text, text_notes
from model.translator.transformer import Transformer
from model.turns import slices
from model.verification.references.translator_reference import verify


class Translator(OwnModel):
    """A from-scratch encoder-decoder with its tokenizer, such as a translator; a `model.trace.lens.Lens`."""

    architecture = Transformer
    is_encoder_decoder = True

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several sentences, run as one padded batch; those of shorter ones include "<pad>" tokens.

        With edits each sentence runs alone: edits name positions, which padding must not move.

        Args:
            targets: one for each text, as in `trace`.
        """
        if edits and len(texts) > 1:
            return tuple(self.trace(text, target, edits) for text, target in zip(texts, targets, strict=True))
        config = self.config
        plan = plan_edits(self, edits)
        encoded = [self._encode(prepare_text(text), "text") for text in texts]
        rows, forced = self._targets(encoded, targets, plan), [one is not None for one in targets]
        source = self._pad([[*line.ids, config.eos] for line in encoded])
        target = self._pad([[config.bos, *ids] for ids in rows])
        with torch.inference_mode(), apply_edits(plan), record() as recorded, slices():
            encoder_hidden, mask = self.module.encode(source)
            decoder_hidden = self.module.decode(target, encoder_hidden[-1], mask)
            logits = self.module.project(decoder_hidden[-1])

        neurons = {
            stack: [recorded.activations[stack, layer] for layer in range(depth)]
            for stack, depth in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers))
        }
        tokens = [
            {"encoder": label_tokens(self.tokenizer, config, s), "decoder": label_tokens(self.tokenizer, config, t)}
            for s, t in zip(source.unbind(), target.unbind(), strict=True)
        ]
        token_logits = [rows_to_numpy(one) for one in logits.unbind()]
        return tuple(
            Trace(
                text=text,
                attentions=self._attentions(recorded, row, tokens[row]["encoder"], tokens[row]["decoder"]),
                hidden_states=stack_layers({"encoder": encoder_hidden, "decoder": decoder_hidden}, row),
                neurons=stack_layers(neurons, row),
                tokens=tokens[row],
                ids={"encoder": (*encoded[row].ids, config.eos), "decoder": (config.bos, *rows[row])},
                prompt_length=1,
                predicted=LazySequence(
                    len(token_logits[row]), partial(predicted_label, self.tokenizer, config, token_logits[row])
                ),
                logits=token_logits[row],
                output=self.tokenizer.decode(rows[row]),
                notes=text_notes(text, encoded[row], config),
                device=self.device,
                edits=edits or UNCHANGED,
                run_check=partial(self._verify, source, target, row, plan, None if plan or forced[row] else rows[row]),
                find_layer=partial(self._find_projections, (source, target), row, plan),
                take_apart=partial(self.take_pass_apart, (source, target), row, plan, logits),
            )
            for row, text in enumerate(texts)
        )

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """The output for a text with a chosen decoding method.

        Args:
            how: method, its parameters, and the longest output.

        Raises:
            InputError: the text is blank or too long, or an edit cannot be applied.
        """
        config, plan = self.config, plan_edits(self, edits)
        source = self._pad([[*self._encode(prepare_text(text), "text").ids, config.eos]])

        def next_token_logits(prefixes: Sequence[Sequence[int]]) -> Tensor:
            fed = torch.tensor(prefixes, device=self.device)
            with apply_edits(plan):
                logits: Tensor = self.module(source.expand(len(fed), -1), fed)[:, -1]
            return logits

        how = replace(how, max_new_tokens=min(how.max_new_tokens, self.max_tokens - 1))
        return decode(next_token_logits, [config.bos], [config.eos], [config.pad, config.bos, config.unk], how)

    def outputs(
        self, text: str, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """Logits of one text, from one pass or from one pass for each silenced head.

        Args:
            silenced: heads to silence, one a pass; empty for one pass without.

        Returns:
            [pass, token, vocab], and True, as the numbers are logits.
        """
        plan = plan_edits(self, edits)
        source, fed = self._inputs(text, target, plan)
        runs = max(len(silenced), 1)
        plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
        with torch.inference_mode(), apply_edits(plan):
            return self.module(source.expand(runs, -1), fed.expand(runs, -1)), True

    def layer_logits(self, text: str, target: Target = None, edits: Edits | None = None) -> Iterator[Tensor]:
        """Logits from each decoder layer's states (logit lens, nostalgebraist 2020). Of each layer [1, token, vocab]"""
        plan = plan_edits(self, edits)
        source, fed = self._inputs(text, target, plan)
        with torch.inference_mode(), apply_edits(plan):
            hidden, mask = self.module.encode(source)
            states = self.module.decode(fed, hidden[-1], mask)
        for state in states:
            with torch.inference_mode():
                logits = self.module.project(state)
            yield logits

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Greedy translations of several texts, computed as one batch."""
        source = self._pad([[*self._encode(prepare_text(text), "text").ids, self.config.eos] for text in texts])
        return [self.tokenizer.decode(ids) for ids in decode_greedily(self.module, source)]

    def _targets(
        self, encoded: Sequence[Encoding], targets: Sequence[Target], plan: EditPlan | None
    ) -> list[list[int]]:
        """Ids of the outputs without marks: forced ones, and the model's own where a target is None."""
        rows = [None if target is None else self._forced(target) for target in targets]
        if None in rows:
            with apply_edits(plan):
                generated = decode_greedily(self.module, self._pad([[*line.ids, self.config.eos] for line in encoded]))
            rows = [own if ids is None else ids for ids, own in zip(rows, generated, strict=True)]
        return [ids for ids in rows if ids is not None]

    def _inputs(self, text: str, target: Target, plan: EditPlan | None) -> tuple[Tensor, Tensor]:
        """Source and target ids of one text, as the module takes them. int64 [1, token] each"""
        encoded = self._encode(prepare_text(text), "text")
        output = self._targets([encoded], [target], plan)[0]
        return self._pad([[*encoded.ids, self.config.eos]]), self._pad([[self.config.bos, *output]])

    def _attentions(self, recorded: Record, row: int, source: Tokens, target: Tokens) -> dict[str, Attention]:
        """Kind -> attention of one sentence of a batch."""
        config = self.config
        kinds = (
            ("encoder", source, source, config.encoder_layers),
            ("decoder", target, target, config.decoder_layers),
            ("cross", target, source, config.decoder_layers),
        )
        return {
            kind: Attention(
                kind,
                queries,
                keys,
                config.num_heads,
                config.d_model // config.num_heads,
                tuple(recorded.call(kind, layer, row) for layer in range(depth)),
            )
            for kind, queries, keys, depth in kinds
        }

    def _verify(self, *args: Any) -> Check:
        """The verdict of `model.verification.references.translator_reference` on one sentence."""
        return verify(self.module, TranslatorVocabulary(self.tokenizer, self.config), *args)
