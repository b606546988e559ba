"""Any Hugging Face transformer: load, trace, decode, through the one attention function.

`transformers.AttentionInterface` hands every attention call of a model to `model.attention`. Families that do not use
the interface run with their own eager attention, which gives weights but neither q, k, v nor a place for edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

from model.attention import Record, record, to_numpy
from model.device import find_device
from model.edits import Edits
from model.errors import check_length
from model.interface import IMPLEMENTATION, Observed, counting
from model.labels import labelled
from model.positions import Scheme
from model.projections import find_layer, shallow_copy
from model.schemes import scheme
from model.trace import Attention, Check, Recorded, Tokens, Trace

NEW_TOKENS = 20  # how far a decoder-only model continues the text


class HuggingFace:
    """A Hugging Face model with its tokenizer; public names as `model.translator.Translator`.

    Attributes:
        sees_inside: False where the family does not use the attention interface, so q, k and v stay unseen.
    """

    def __init__(self, module: Any, tokenizer: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device
        self.config = module.config
        self.is_pair = bool(self.config.is_encoder_decoder)
        limits = (getattr(self.config, name, None) for name in ("max_position_embeddings", "n_positions"))
        self.max_tokens = min([n for n in limits if isinstance(n, int) and n > 0] + [tokenizer.model_max_length, 2048])
        self.sees_inside = self._try_interface()

    @classmethod
    def open(cls, name: str | Path, device: str = "auto") -> HuggingFace:
        """Open a hub name or a folder. No code that comes with the weights is run; pickles load weights only."""
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        architecture = (getattr(config, "architectures", None) or [""])[0]
        if config.is_encoder_decoder:
            opener: Any = AutoModelForSeq2SeqLM
        else:
            offers = (AutoModelForCausalLM, AutoModelForMaskedLM)
            known = (auto for auto in offers if architecture in _architectures(auto))
            opener = next(known, AutoModel)
        module = opener.from_pretrained(
            name, config=config, trust_remote_code=False, weights_only=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        return cls(module, tokenizer, find_device(device))

    def trace(self, text: str, target: str | None = None, edits: Edits | None = None) -> Trace:
        """Run the model on a text and keep what every layer computed.

        Args:
            text: what the encoder reads, or a decoder-only model's prompt.
            target: encoder-decoder: the output to force; decoder-only: more text, read after the prompt.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: a text is blank or too long.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[str | None], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Run several texts as one padded batch; the shorter ones' traces show their "<pad>" tokens."""
        whole = [text if self.is_pair else text + (target or "") for text, target in zip(texts, targets, strict=True)]
        read = [self._encode(text, "text") for text in whole]
        source, real = self._pad([ids for ids, _ in read])
        inputs = {"input_ids": source, "attention_mask": real}
        stacks = {"encoder": [tokens for _, tokens in read]}
        outputs: list[str | None] = [None] * len(texts)
        if self.is_pair:
            made = [
                self._generate(ids) if target is None else self._target(target)
                for (ids, _), target in zip(read, targets, strict=True)
            ]
            inputs["decoder_input_ids"], _ = self._pad(made)
            stacks["decoder"] = [labelled(self.tokenizer, ids) for ids in made]
            outputs = [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in made]
        with torch.inference_mode(), record() as kept:
            result = self._run(self.module, inputs, eager=not self.sees_inside)
        layers = self._layers(result, kept, len(texts))
        if list(layers) == ["decoder"]:
            stacks = {"decoder": stacks["encoder"]}
        logits: Tensor | None = getattr(result, "logits", None)
        if list(stacks) == ["decoder"] and logits is not None:
            outputs = [
                None if target is not None else self.tokenizer.decode(self._generate(ids), skip_special_tokens=True)
                for (ids, _), target in zip(read, targets, strict=True)
            ]
        longest = {"encoder": source.shape[1], "decoder": inputs.get("decoder_input_ids", source).shape[1]}
        names = {stack: f"{stack}_hidden_states" if self.is_pair else "hidden_states" for stack in stacks}
        predicts = logits if "decoder" in stacks else None
        traces = []
        for row, text in enumerate(texts):
            lengths = {stack: len(sides[row]) for stack, sides in stacks.items()}
            tokens = {stack: sides[row].padded(longest[stack]) for stack, sides in stacks.items()}
            attentions = {kind: self._attention(kind, rows[row], tokens) for kind, rows in layers.items()}
            trace = Trace(
                text=text,
                attentions=attentions,
                hidden_states={
                    stack: to_numpy(torch.stack([layer[row] for layer in result[name]]))
                    for stack, name in names.items()
                },
                neurons={},
                tokens=tokens,
                predicted=None
                if predicts is None
                else labelled(self.tokenizer, predicts[row].argmax(-1).tolist()).texts,
                logits=None if logits is None else to_numpy(logits[row]),
                output=outputs[row],
                notes=() if self.sees_inside else (("weights_only", type(self.module).__name__),),
                device=self.device,
                check=partial(self._verify, inputs, attentions, logits, row, lengths),
                find=partial(find_layer, self.module, partial(self._run, inputs=inputs, eager=False), row),
            )
            traces.append(trace)
        return tuple(traces)

    def positions(self) -> Scheme:
        """How this model is told where its tokens stand."""
        return scheme(self.module)

    def _run(self, module: Any, inputs: dict[str, Tensor], eager: bool) -> Any:
        with counting(module.get_encoder() if self.is_pair else None):
            return module(
                **inputs, output_hidden_states=True, output_attentions=eager, use_cache=False, return_dict=True
            )

    def _try_interface(self) -> bool:
        """Switch to our attention function; False, and back to the library's own, where the family ignores it."""
        self.module.set_attn_implementation(IMPLEMENTATION)
        ids = torch.zeros(1, 2, dtype=torch.long, device=self.device)
        inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if self.is_pair else {})
        try:
            with torch.inference_mode(), record() as kept:
                self._run(self.module, inputs, eager=False)
        except NotImplementedError:  # an attention with extras that the formula does not have
            kept = Record()
        if kept.calls:
            return True
        self.module.set_attn_implementation("eager")
        return False

    def _layers(self, result: Any, kept: Record, rows: int) -> dict[str, list[list[Recorded]]]:
        """Kind -> sentence -> layer; a stack in which nobody looks ahead is a decoder, as its masks say."""
        found: dict[str, list[list[Recorded]]] = {}
        if self.sees_inside:
            for kind, layer in sorted(kept.calls):
                for row in range(rows):
                    found.setdefault(kind, [[] for _ in range(rows)])[row].append(kept.call(kind, layer, row))
        else:
            for kind, layers in self._stock_attentions(result).items():
                found[kind] = [[Observed(to_numpy(layer[row])) for layer in layers] for row in range(rows)]
        alone = found["encoder"]
        if not self.is_pair and not any(np.triu(one.array("allowed"), 1).any() for layers in alone for one in layers):
            return {"decoder": alone}
        return {kind: found[kind] for kind in ("encoder", "decoder", "cross") if kind in found}

    def _attention(self, kind: str, layers: list[Recorded], tokens: dict[str, Tokens]) -> Attention:
        asking = tokens["encoder" if kind == "encoder" else "decoder"]
        asked = tokens["decoder" if kind == "decoder" else "encoder"]
        return Attention(kind, asking, asked, layers[0].shape[0], layers[0].shape[3], tuple(layers))

    def _stock_attentions(self, result: Any) -> dict[str, Sequence[Tensor]]:
        names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
        names = names if self.is_pair else {"encoder": "attentions"}
        found = {kind: getattr(result, name) for kind, name in names.items()}
        if any(weights is None or any(layer is None for layer in weights) for weights in found.values()):
            raise ValueError(f"{type(self.module).__name__} does not give its attention weights.")
        return found

    def _verify(
        self,
        inputs: dict[str, Tensor],
        attentions: dict[str, Attention],
        logits: Tensor | None,
        row: int,
        lengths: dict[str, int],
    ) -> Check:
        """Compare one sentence; `lengths` says how many tokens are real: what padding computes means nothing."""
        stock = shallow_copy(self.module)
        stock.set_attn_implementation("eager")
        with torch.inference_mode():
            result = self._run(stock, inputs, eager=True)
        expected = self._stock_attentions(result)
        if list(attentions) == ["decoder"]:
            expected = {"decoder": expected["encoder"]}  # the library calls every single stack's the same
        weight_error, sum_error, leaked = [], [], []
        for kind, found in attentions.items():
            for layer in range(found.num_layers):
                real = slice(lengths["encoder" if kind == "encoder" else "decoder"])
                weights, mask = found.weights(layer)[:, real], found.mask(layer)[real]
                weight_error.append(float(abs(weights - to_numpy(expected[kind][layer][row])[:, real]).max()))
                sum_error.append(float(abs(weights.sum(-1) - 1).max()))
                leaked.append(float((weights * ~mask).max()))
        return Check(
            max_weight_error=max(weight_error),
            max_row_sum_error=max(sum_error),
            leaked_mass=max(leaked),
            max_logit_error=0.0
            if logits is None
            else float((logits[row] - result.logits[row])[: lengths[next(reversed(lengths))]].abs().max()),
            tolerance=1e-4,
            how="transformers' own eager attention with the same weights, run on the same tokens",
        )

    @torch.inference_mode()
    def _generate(self, ids: Sequence[int]) -> list[int]:
        """Greedy ids: what an encoder-decoder's decoder is fed, or what follows a decoder-only model's prompt."""
        source = torch.tensor([ids], device=self.device)
        start = [self.config.decoder_start_token_id] if self.is_pair else list(ids)
        most = 2 * len(ids) + 10 if self.is_pair else NEW_TOKENS
        ends = self.module.generation_config.eos_token_id
        ends = {*ends} if isinstance(ends, list) else {ends}
        made = list(start)
        for _ in range(min(most, self.max_tokens - len(start))):
            fed = torch.tensor([made], device=self.device)
            inputs = {"input_ids": source, "decoder_input_ids": fed} if self.is_pair else {"input_ids": fed}
            step = int(self._run(self.module, inputs, eager=False).logits[0, -1].argmax())
            if step in ends:
                break
            made.append(step)
        return made if self.is_pair else made[len(start) :]

    def _target(self, target: str) -> list[int]:
        ids, _ = self._encode(target, "target", special=False)
        return [self.config.decoder_start_token_id, *ids]

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids padded at the end, and a mask with 1 for what is real."""
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        padded_rows = [[*row, *[pad] * (longest - len(row))] for row in rows]
        real = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        return torch.tensor(padded_rows, device=self.device), torch.tensor(real, device=self.device)

    def _encode(self, text: str, which: str, special: bool = True) -> tuple[list[int], Tokens]:
        sides = {"text_target": text} if which == "target" else {"text": text}
        encoding = self.tokenizer(
            **sides,
            add_special_tokens=special,
            return_offsets_mapping=self.tokenizer.is_fast,
            split_special_tokens=True,
        )
        ids = encoding["input_ids"]
        check_length(which, len(ids) if text.strip() else 0, self.max_tokens)
        offsets = encoding["offset_mapping"] if self.tokenizer.is_fast else None
        pieces = None if offsets is None else [(text[start:end], start, end) for start, end in offsets]
        return ids, labelled(self.tokenizer, ids, pieces)


def _architectures(auto: Any) -> set[str]:
    names: set[str] = set()
    for value in auto._model_mapping._model_mapping.values():
        names |= set(value) if isinstance(value, (tuple, list)) else {value}
    return names
