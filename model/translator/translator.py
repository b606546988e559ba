"""The bundled English-French model: load, trace, decode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from model.arrays.lazy import Words
from model.arrays.torch_to_numpy import stacked, table
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, current, editing, plan_edits
from model.attention.projections import find_layer
from model.attention.record import Record, record
from model.errors import check_ids, check_length
from model.generation.decoding import Decoded, Decoding
from model.generation.search import decode
from model.measures.logit_lens import layer_words
from model.measures.silencing import head_effects
from model.positions.scheme import PositionScheme
from model.positions.sinusoidal import sinusoidal
from model.tokenization.labels import readable
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.layer_inputs import Layer, NoLayer
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Tokens
from model.trace.trace import Target, Trace
from model.translator.labels import label_tokens, predicted_label
from model.translator.text_preparation import calmed, prepared
from model.translator.transformer import Config, Past, Transformer, unfilled
from model.verification.translator_reference import check

LONG = 60  # next to no training sentence has more tokens


class Translator:
    """A from-scratch transformer with its tokenizer.

    Attributes:
        module: the `torch.nn.Module` that runs.
        max_tokens: how many tokens a text may have, the end mark included.
        device: where it runs, as PyTorch names it.
    """

    takes = "text"
    head_effects, layer_words = head_effects, layer_words
    is_pair = True
    writes = True
    can_move_positions = True

    def __init__(self, module: Transformer, tokenizer: Tokenizer, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True  # who types "</s>" means these letters, not the end mark
        self.config = module.config
        self.max_tokens = module.config.max_tokens
        self.device = device
        self.dtype = dtype_name(self.module)
        self.heads: Mapping[str, tuple[int, int]] = {
            "encoder": (self.config.encoder_layers, self.config.num_heads),
            "decoder": (self.config.decoder_layers, self.config.num_heads),
            "cross": (self.config.decoder_layers, self.config.num_heads),
        }

    @classmethod
    def open(cls, folder: Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> Translator:
        """Read what `model.translator.training.save` wrote."""
        with unfilled():
            module = Transformer(Config(**json.loads((folder / "config.json").read_text())))
        half = load_file(folder / "model.safetensors")
        module.load_state_dict({name: tensor.float() for name, tensor in half.items()})
        return cls(module.to(dtype), Tokenizer.from_file(str(folder / "tokenizer.json")), find_device(device))

    def positions(self) -> PositionScheme:
        """The positional encoding this model adds to its embeddings."""
        return PositionScheme("sinusoidal", table=sinusoidal(self.max_tokens, self.config.d_model))

    def trace(self, text: str, target: Target = None, edits: Edits | None = None) -> Trace:
        """Run the model on a text and keep what every layer computed.

        Args:
            text: the English sentence.
            target: a French sentence to force, as text or as ids; None lets the model translate.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: a text is blank or too long.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Run several sentences as one padded batch; the shorter ones' traces show their "<pad>" tokens.

        With edits each runs alone: they name places, which padding must not move.
        """
        if edits and len(texts) > 1:
            return tuple(self.trace(text, target, edits) for text, target in zip(texts, targets, strict=True))
        config = self.config
        plan = plan_edits(self, edits)
        encoded = [self._encode(prepared(text), "text") for text in texts]
        rows = self._targets(encoded, targets, plan)
        source = self._pad([[*line.ids, config.eos] for line in encoded])
        target = self._pad([[config.bos, *ids] for ids in rows])
        with torch.inference_mode(), editing(plan), record() as kept:
            encoder_hidden, mask = self.module.encode(source)
            decoder_hidden = self.module.decode(target, encoder_hidden[-1], mask)
            logits = self.module.project(decoder_hidden[-1])

        neurons = {
            stack: [kept.activations[stack, layer] for layer in range(depth)]
            for stack, depth in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers))
        }
        tokens = [
            {"encoder": label_tokens(self.tokenizer, config, s), "decoder": label_tokens(self.tokenizer, config, t)}
            for s, t in zip(source.unbind(), target.unbind(), strict=True)
        ]
        answers = [table(one) for one in logits.unbind()]
        return tuple(
            Trace(
                text=text,
                attentions=self._attentions(kept, row, tokens[row]["encoder"], tokens[row]["decoder"]),
                hidden_states=stacked({"encoder": encoder_hidden, "decoder": decoder_hidden}, row),
                neurons=stacked(neurons, row),
                tokens=tokens[row],
                ids={"encoder": (*encoded[row].ids, config.eos), "decoder": (config.bos, *rows[row])},
                given=1,
                predicted=Words(len(answers[row]), partial(predicted_label, self.tokenizer, config, answers[row])),
                logits=answers[row],
                output=self.tokenizer.decode(rows[row]),
                notes=self._notes(text, encoded[row]),
                device=self.device,
                edits=edits or UNCHANGED,
                check=partial(self._verify, source, target, kept, logits, row, plan),
                find=partial(self._find, source, target, row, plan),
            )
            for row, text in enumerate(texts)
        )

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> Decoded:
        """Translate in a chosen way."""
        config, plan = self.config, plan_edits(self, edits)
        source = self._pad([[*self._encode(prepared(text), "text").ids, config.eos]])

        def scores(prefixes: Sequence[Sequence[int]]) -> Tensor:
            fed = torch.tensor(prefixes, device=self.device)
            with editing(plan):
                logits: Tensor = self.module(source.expand(len(fed), -1), fed)[:, -1]
            return logits

        longest = min(how.longest, self.max_tokens - 1)
        return decode(
            scores, [config.bos], [config.eos], [config.pad, config.bos, config.unk], replace(how, longest=longest)
        )

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Tokens as people read them, each alone."""
        return tuple(readable([str(self.tokenizer.id_to_token(i))], [False]).texts[0] for i in ids)

    def guess(self, text: str, place: int, edits: Edits | None = None) -> None:
        """This model never learned to guess hidden tokens."""

    def outputs(
        self, text: str, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """The logits of one text: once, or once for each head in `silenced`, with that one silent.

        Returns:
            [run, token, vocab], and True, as in `model.huggingface.text_model`.
        """
        plan = plan_edits(self, edits)
        source, fed = self._inputs(text, target, plan)
        runs = max(len(silenced), 1)
        plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
        with torch.inference_mode(), editing(plan):
            return self.module(source.expand(runs, -1), fed.expand(runs, -1)), True

    def layer_logits(self, text: str, target: Target = None, edits: Edits | None = None) -> Tensor | None:
        """The logit lens: what each decoder layer would say if it were the last. [layer + 1, token, vocab]"""
        plan = plan_edits(self, edits)
        source, fed = self._inputs(text, target, plan)
        with torch.inference_mode(), editing(plan):
            hidden, mask = self.module.encode(source)
            return self.module.project(torch.cat(self.module.decode(fed, hidden[-1], mask)))

    @torch.inference_mode()
    def greedy(self, source: Tensor) -> list[list[int]]:
        """The likeliest token at each step, until eos; never more than twice the source plus ten.

        Args:
            source: int64 [batch, s], padded.

        Returns:
            A list of ids a sentence, without bos and eos.
        """
        config = self.config
        hidden, mask = self.module.encode(source)
        target = torch.full((source.shape[0], 1), config.bos, device=source.device)
        ended = torch.zeros(source.shape[0], dtype=torch.bool, device=source.device)
        past = None if current() else Past()  # edits name places in the whole text, so the whole text is run again
        for _ in range(min(2 * source.shape[1] + 10, config.max_tokens - 1)):
            decoded = self.module.decode(target, hidden[-1], mask, past)[-1]
            logits = self.module.project(decoded[:, -1])  # [batch, vocab]
            logits[:, [config.pad, config.bos, config.unk]] = -torch.inf
            step = logits.argmax(-1).masked_fill(ended, config.pad)
            ended |= step == config.eos
            if ended.all():
                break
            target = torch.cat([target, step[:, None]], dim=1)
        return [[i for i in row if i not in (config.pad, config.eos)] for row in target[:, 1:].tolist()]

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Greedy translations of several texts, as one batch."""
        source = self._pad([[*self._encode(prepared(text), "text").ids, self.config.eos] for text in texts])
        return [self.tokenizer.decode(ids) for ids in self.greedy(source)]

    def _encode(self, text: str, which: str) -> Encoding:
        encoding = self.tokenizer.encode(text)
        check_length(which, len(encoding.ids), self.max_tokens - 1)
        return encoding

    def _targets(
        self, encoded: Sequence[Encoding], targets: Sequence[Target], plan: EditPlan | None
    ) -> list[list[int]]:
        """Ids of the outputs, without marks: those that are forced, the model's own for the others."""
        rows = [None if t is None else self._encode(t, "target").ids if isinstance(t, str) else [*t] for t in targets]
        for ids in filter(None, rows):
            check_length("target", len(ids), self.max_tokens - 1)
            check_ids(ids, self.config.vocab_size)
        if None in rows:
            with editing(plan):
                free = self.greedy(self._pad([[*line.ids, self.config.eos] for line in encoded]))
            rows = [own if ids is None else ids for ids, own in zip(rows, free, strict=True)]
        return [ids for ids in rows if ids is not None]

    def _inputs(self, text: str, target: Target, plan: EditPlan | None) -> tuple[Tensor, Tensor]:
        encoded = self._encode(prepared(text), "text")
        forced = self._targets([encoded], [target], plan)[0]
        return self._pad([[*encoded.ids, self.config.eos]]), self._pad([[self.config.bos, *forced]])

    def _pad(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, rows))
        padded = [[*row, *[self.config.pad] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=self.device)

    def _attentions(self, kept: Record, row: int, source: Tokens, target: Tokens) -> dict[str, Attention]:
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
                tuple(kept.call(kind, layer, row) for layer in range(depth)),
            )
            for kind, queries, keys, depth in kinds
        }

    def _verify(self, *args: Any) -> Check:
        return check(self.module, *args)

    def _find(
        self, source: Tensor, target: Tensor, row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> Layer | NoLayer:
        with editing(plan):
            return find_layer(self.module, lambda module: module(source, target), row, recorded)

    def _notes(self, text: str, encoding: Encoding) -> tuple[tuple[str, str], ...]:
        calm = calmed(text)
        notes = [("calmed", calm)] if calm != text else []
        spans = zip(encoding.ids, encoding.offsets, strict=True) if self.config.unk in encoding.ids else ()
        unknown = [prepared(text)[slice(*span)] for i, span in spans if i == self.config.unk]
        if len(encoding.ids) > LONG:
            notes.append(("long", str(len(encoding.ids) + 1)))  # with </s>, as the page counts them
        if unknown:
            notes.append(("unknown", " ".join(dict.fromkeys(unknown))))
        return tuple(notes)
