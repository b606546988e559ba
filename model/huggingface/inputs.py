"""What a Hugging Face model is fed: typed texts, forced outputs and sentence pairs as ids, padded to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.huggingface.answers import WORDS
from model.huggingface.generation import check_readable, forced_ids, output_ids, output_start, pad_ids
from model.huggingface.opened_model import OpenedModel
from model.tokenization.encoding import Encoded, encode
from model.tokenization.labels import label_ids
from model.tokenization.length import check_length
from model.trace.tokens import Sound, Tokens
from model.trace.trace import Target
from model.trace.typed_text import TypedText, as_typed


@dataclass(frozen=True, eq=False)
class Encoding:
    """One text of a batch.

    Attributes:
        text: as it was typed, or the path of a sound.
        ids, tokens: stack -> what it reads, without padding.
        prompt_length: number of decoder tokens before the output.
        sound: what was heard; None for a text.
        notes: (id, detail) of remarks on how it was read.
    """

    text: str
    ids: dict[str, list[int]] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)
    prompt_length: int = 0
    sound: Sound | None = None
    notes: tuple[tuple[str, str], ...] = ()


def encode_batch(
    lens: OpenedModel, texts: Sequence[str | TypedText], targets: Sequence[Target], plan: EditPlan | None
) -> tuple[dict[str, Tensor], list[Encoding]]:
    """The module's keyword arguments for a batch of texts, and each text on its own.

    Raises:
        InputError: a text is blank or too long, or has a token without an embedding.
    """
    encoded, sources = [], []
    for text, target in zip(texts, targets, strict=True):
        source = encode(lens.tokenizer, text, "text", lens.max_tokens, model_limit=lens.model_max_tokens)
        check_readable(lens, source)
        sources.append(source)
        encoded.append(
            _with_output(lens, as_typed(text), source, target, plan)
            if lens.is_encoder_decoder
            else _alone(lens, as_typed(text).text, source, target)
        )
    first = "encoder" if lens.is_encoder_decoder else lens.single_stack
    ids, padding_mask = pad_ids(lens, [one.ids[first] for one in encoded])
    inputs = {"input_ids": ids, "attention_mask": padding_mask}
    if lens.is_encoder_decoder:
        inputs["decoder_input_ids"], _ = pad_ids(lens, [one.ids["decoder"] for one in encoded])
    types = [source.type_ids or [] for source in sources]
    if all(types) and any(as_typed(text).pair is not None for text in texts) and not any(targets):
        padded = [[*row, *[0] * (ids.shape[1] - len(row))] for row in types]
        inputs["token_type_ids"] = torch.tensor(padded, device=lens.device)
    return inputs, encoded


def _with_output(
    lens: OpenedModel, typed: TypedText, source: Encoded, target: Target, plan: EditPlan | None
) -> Encoding:
    """What an encoder and its decoder read: the output, generated or forced; a classifier's decoder reads the input."""
    if lens.head == WORDS:
        output = output_ids(lens, source.ids, target, plan, output_start(lens, typed.target_language))[0]
    else:
        output = [lens.decoder_start, *source.ids[:-1]]
    tokens = {"encoder": source.tokens, "decoder": label_ids(lens.tokenizer, output)}
    return Encoding(typed.text, {"encoder": source.ids, "decoder": output}, tokens, prompt_length=1)


def _alone(lens: OpenedModel, text: str, source: Encoded, target: Target) -> Encoding:
    """What a single stack reads: the text, and behind it what is forced."""
    ids, tokens = source.ids, source.tokens
    if target:  # cut into tokens by itself, so that its first piece cannot merge with the prompt's last
        ids = [*ids, *forced_ids(lens, target)]
        check_length("text", len(ids), lens.max_tokens, lens.model_max_tokens)
        tokens = label_ids(lens.tokenizer, ids)
    return Encoding(text, {lens.single_stack: ids}, {lens.single_stack: tokens}, prompt_length=len(source.ids))


def length_of(lens: OpenedModel, stack: str, inputs: Mapping[str, Tensor]) -> int:
    """How many tokens a stack reads of the module's keyword arguments."""
    name = "decoder_input_ids" if lens.is_encoder_decoder and stack == "decoder" else "input_ids"
    return int(inputs[name].shape[1])
