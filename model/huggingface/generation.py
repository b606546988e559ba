"""The output of a Hugging Face model, generated step by step or forced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.errors import InputError
from model.generation.search import NextLogits, decode
from model.huggingface.opened_model import OpenedModel
from model.huggingface.recording.call_names import name_attention_calls
from model.huggingface.vocabulary import forbidden_ids
from model.tokenization.encoding import Encoded, encode
from model.tokenization.length import check_ids, check_length
from model.trace.decoding import Decoding, DecodingResult
from model.trace.trace import Target

# What is read: ids, or keyword arguments of an encoder that reads something else, such as sound.
Source = Sequence[int] | Mapping[str, Tensor]
OutputStart = tuple[list[int], int | None]  # ids that a decoder is fed first, and the one that it must write then
NEW_TOKENS = 20  # how many tokens a decoder-only model continues a text by


def generate(
    lens: OpenedModel,
    source: Source,
    how: Decoding,
    plan: EditPlan | None,
    first_pass: Any | None = None,
    start: OutputStart | None = None,
) -> DecodingResult:
    """The continuation of some ids, or the output of an encoder-decoder model for them.

    Args:
        source: the prompt, or what the encoder reads.
        how: decoding method, its parameters, and the longest output.
        plan: edits, applied in every step.
        first_pass: the library's output object for exactly this prompt, with keys and values cached; saves one pass.
        start: what an encoder-decoder model's decoder is fed first; None for what `output_start` says.
    """
    if not lens.is_encoder_decoder:
        begun, forced = [*source], None
    else:
        begun, forced = start or output_start(lens)
    free_tokens = lens.max_tokens - len(begun)
    if free_tokens < 1:
        return DecodingResult((), ended=False)
    how = replace(how, max_new_tokens=min(how.max_new_tokens, free_tokens))
    settings = lens.module.generation_config
    ends = ({*settings.eos_token_id} if isinstance(settings.eos_token_id, list) else {settings.eos_token_id}) - {None}
    never, barred = forbidden_ids(settings, lens.module.config.get_text_config().vocab_size)
    use_cache = lens.uses_interface and plan is None and how.method != "beam"
    next_logits = next_token_logits(lens, source, plan, use_cache, first_pass if use_cache else None)
    return decode(_with_start(next_logits, len(begun), barred, forced), begun, ends, never, how)


def output_start(lens: OpenedModel, language: str | None = None) -> OutputStart:
    """The ids that an encoder-decoder model's decoder is fed first, and the id that it must write first, or None.

    Args:
        language: code of the language to write; None for the model's own.

    Raises:
        InputError: the model has no such language.
    """
    forced = forced_first_id(lens.module)
    known = lens.languages
    language = language or (None if known is None else known.target)
    if known is None or known.place == "prefix" or language is None:
        return [lens.decoder_start], forced
    if language not in known.ids:
        raise InputError("no_language", f"This model does not write {language!r}.", language=language)
    if known.place == "start":
        return [known.ids[language]], forced
    return [lens.decoder_start], known.ids[language]


def forced_first_id(module: Any) -> int | None:
    """The id that a model's own settings force as the first of its output; None where they force none."""
    for place in (getattr(module, "generation_config", None), module.config):
        token_id = getattr(place, "forced_bos_token_id", None)
        if token_id is not None:
            return int(token_id)
    return None


def _with_start(next_logits: NextLogits, prompt_length: int, barred: Sequence[int], forced: int | None) -> NextLogits:
    """The same function, but for what follows the prompt.

    Args:
        barred: ids that may not follow it, such as the end of a text.
        forced: the only id that may, such as a multilingual model's language; None for any.
    """

    def started(prefixes: Sequence[Sequence[int]]) -> Tensor:
        logits = next_logits(prefixes)
        if len(prefixes[0]) == prompt_length and forced is not None:
            logits = torch.full_like(logits, -torch.inf)
            logits[:, forced] = 0.0
        elif len(prefixes[0]) == prompt_length and barred:
            logits[:, list(barred)] = -torch.inf
        return logits

    return started


def next_token_logits(
    lens: OpenedModel, source: Source, plan: EditPlan | None, use_cache: bool, first_pass: Any | None = None
) -> NextLogits:
    """A function from prefixes, all of one length, to the logits of their next token, [prefix, vocab].

    Args:
        source: what an encoder-decoder model's encoder reads; it runs once.
        use_cache: keep the keys and values of one growing prefix, so that a step computes its last token only.
        first_pass: the library's output object for the first prefix, if it was computed already.
    """
    encoder = lens.module.get_encoder() if lens.is_encoder_decoder else None
    cache, cached_tokens, memory = None, 0, None

    def next_logits(prefixes: Sequence[Sequence[int]]) -> Tensor:
        nonlocal cache, cached_tokens, memory
        if first_pass is not None and cache is None and getattr(first_pass, "past_key_values", None) is not None:
            cache, cached_tokens = first_pass.past_key_values, len(prefixes[0])
            return torch.clone(first_pass.logits[:, -1])  # decoding writes into it
        ids = torch.tensor(prefixes, device=lens.device)[:, cached_tokens:]
        with name_attention_calls(encoder, lens.single_stack), apply_edits(plan):
            inputs: dict[str, Any] = {"input_ids": ids}
            if encoder is not None:
                if memory is None:
                    read = source if isinstance(source, Mapping) else _as_inputs(lens, source)
                    memory = encoder(**read, return_dict=True)
                states = memory.last_hidden_state.expand(len(ids), -1, -1)
                # As the encoder answers it: some families' classes read more of it than the states (experts).
                inputs = {"encoder_outputs": replace(memory, last_hidden_state=states), "decoder_input_ids": ids}
            result = lens.module(**inputs, past_key_values=cache, use_cache=use_cache, return_dict=True)
        if getattr(result, "past_key_values", None) is not None and use_cache:  # a recurrent model keeps none
            cache, cached_tokens = result.past_key_values, cached_tokens + ids.shape[1]
        logits: Tensor = result.logits[:, -1]
        return logits

    return next_logits


def _as_inputs(lens: OpenedModel, ids: Sequence[int]) -> dict[str, Tensor]:
    return {"input_ids": torch.tensor([ids], device=lens.device)}


def answer_ids(
    lens: OpenedModel,
    ids: Sequence[int],
    prompt_length: int,
    target: Target,
    plan: EditPlan | None,
    first_pass: Any | None,
) -> list[int] | None:
    """Ids of an encoder-decoder model's output, or of what follows a decoder-only model's prompt, generated or forced.

    Args:
        ids: of the decoder, prompt included.
        target: what was forced; None generates a continuation, and an empty one has no text.
        first_pass: as in `generate`.
    """
    if lens.is_encoder_decoder:
        return list(ids)
    if target is None:
        return list(generate(lens, ids, Decoding(max_new_tokens=NEW_TOKENS), plan, first_pass).ids)
    return list(ids[prompt_length:]) if target else None


def output_ids(
    lens: OpenedModel, source: Source, target: Target, plan: EditPlan | None, start: OutputStart
) -> tuple[list[int], int]:
    """Ids of an encoder-decoder model's output, forced or generated where `target` is None, and how many start it.

    A forced text follows the token that the model must write first, such as its language.

    Args:
        start: as `output_start` returns it.

    Raises:
        InputError: the output is too long, or a forced id is not in the vocabulary.
    """
    begun, forced = start
    if target is None:
        most = lens.max_tokens if isinstance(source, Mapping) else 2 * len(source) + 10
        target = generate(lens, source, Decoding(max_new_tokens=most), plan, start=start).ids
    leading = [] if forced is None or not isinstance(target, str) else [forced]
    ids = [*begun, *leading, *forced_ids(lens, target)]
    check_length("target", len(ids), lens.max_tokens)
    return ids, len(begun)


def forced_ids(lens: OpenedModel, target: str | Sequence[int]) -> list[int]:
    """Ids of a forced output, without marks.

    Raises:
        InputError: a text is blank or too long, has a token without an embedding, or an id is not in the vocabulary.
    """
    if isinstance(target, str):
        encoded = encode(lens.tokenizer, target, "target", lens.max_tokens, special=False)
        check_readable(lens, encoded)
        return encoded.ids
    check_ids(target, lens.module.config.get_text_config().vocab_size)
    return list(target)


def check_readable(lens: OpenedModel, encoded: Encoded) -> None:
    """Refuse a token that the tokenizer knows and the model has no vector for, and a text that is not read in full.

    Raises:
        InputError: names the token, or the limit.
    """
    if lens.full_tokens is not None and len(encoded.ids) > lens.full_tokens:
        raise InputError(
            "text_over_full",
            f"The text has {len(encoded.ids)} tokens. The model takes {lens.model_max_tokens}, but beyond "
            f"{lens.full_tokens} each token looks at some of them only, picked by chance, which is not shown here. "
            f"Shorten it.",
            tokens=len(encoded.ids),
            allowed=lens.full_tokens,
            model=lens.model_max_tokens,
        )
    count = getattr(lens.module.get_input_embeddings(), "num_embeddings", None)
    for word, token_id in zip(encoded.tokens.texts, encoded.ids, strict=True):
        if count is not None and token_id >= count:
            raise InputError(
                "no_embedding",
                f"The tokenizer has a token {word!r}, but the model has no vector for it: write it otherwise.",
                word=word,
            )


def pad_ids(lens: OpenedModel, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded at the end, and their padding mask with 1 for real tokens. int64 [text, token] each"""
    longest = max(map(len, rows))
    pad = lens.tokenizer.pad_token_id or 0
    padded = [[*row, *[pad] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(padded, device=lens.device), torch.tensor(mask, device=lens.device)
