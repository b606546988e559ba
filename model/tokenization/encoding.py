"""Encoding a text with a Hugging Face tokenizer: its ids, its labelled tokens, and notes on unknown words."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.errors import InputError
from model.tokenization.labels import Piece, label_ids, tokenizer_lock
from model.tokenization.languages import Languages, reading_language
from model.tokenization.length import check_length
from model.trace.tokens import Tokens
from model.trace.typed_text import InputChoices, TypedText, as_typed


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as a model reads it.

    Attributes:
        ids: of the vocabulary; tokens: the same with readable labels.
        type_ids: which sentence of a pair each token belongs to; None where the tokenizer does not tell.
    """

    ids: list[int]
    tokens: Tokens
    type_ids: list[int] | None


def encode(
    tokenizer: Any,
    typed: str | TypedText,
    which: str,
    allowed: int,
    special: bool = True,
    model_limit: int = 0,
) -> Encoded:
    """The ids and the tokens, with readable labels, of a text; ids equal the tokenizer's own on plain text.

    Args:
        tokenizer: of Hugging Face.
        which: "text" or "target".
        allowed: the largest number of tokens that are read; model_limit: what the model takes, where that is more.
        special: True to add the special tokens that the model expects.

    Raises:
        InputError: the text is blank or too long, or the tokenizer has no chat template.
    """
    how = as_typed(typed)
    text, blank = how.text, not how.text.strip()
    if how.chat:
        text, special = _as_chat_turn(tokenizer, text), False
    prefixed = getattr(tokenizer, "supported_language_codes", None)
    if prefixed and how.target_language is not None:
        text = f">>{how.target_language}<< {text}"
    sides = {"text_target": text} if which == "target" else {"text": text}
    if how.pair is not None:
        sides["text_pair"] = how.pair
    reader = tokenizer if how.marks else _spelling(tokenizer)
    # Slow tokenizers mean something else by it: they would cut every added token, such as the letters of a protein.
    spelled = {} if how.marks or not tokenizer.is_fast else {"split_special_tokens": True}
    with tokenizer_lock, reading_language(tokenizer, how.source_language):
        encoding = reader(**sides, add_special_tokens=special, return_offsets_mapping=tokenizer.is_fast, **spelled)
    ids = encoding["input_ids"]
    check_length(which, 0 if blank else len(ids), allowed, model_limit)

    def pieces() -> list[Piece]:
        both = (text, how.pair or "")
        sentences = encoding.sequence_ids(0)
        found = []
        for (start, end), sentence in zip(encoding["offset_mapping"], sentences, strict=True):
            shift = (len(text) + 1) * (sentence or 0)  # places of the second sentence follow those of the first
            found.append((both[sentence or 0][start:end], start + shift, end + shift))
        return found

    tokens = label_ids(tokenizer, ids, pieces if tokenizer.is_fast else None)
    return Encoded(ids, tokens, encoding.get("token_type_ids"))


def input_choices(tokenizer: Any, languages: Languages | None, writes: bool) -> InputChoices:
    """What may be chosen for the texts of a model. writes: whether it goes on with words, and so takes no pairs"""
    pairs = not writes and tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add()
    chat = bool(getattr(tokenizer, "chat_template", None))
    marks = typed_marks(tokenizer)
    if languages is None:
        return InputChoices(pairs, chat, marks)
    codes = tuple(languages.ids)
    sources = () if languages.source is None else codes
    return InputChoices(pairs, chat, marks, sources, codes, languages.source, languages.target)


def typed_marks(tokenizer: Any) -> tuple[str, ...]:
    """The marks that may be typed by hand and be spelled out: special tokens, and added ones such as "[E1]"."""
    if not tokenizer.is_fast:
        return ()
    added = tokenizer.added_tokens_decoder.values()
    return tuple(one.content for one in added if one.special or not one.content[:1].isalnum())


def _spelling(tokenizer: Any) -> Any:
    """A tokenizer that cuts marks which are no special tokens, too: the library spells out only those that are."""
    typed = typed_marks(tokenizer)
    marks = [one for one in tokenizer.added_tokens_decoder.values() if not one.special and one.content in typed]
    if not marks or not tokenizer.is_fast:
        return tokenizer
    copied = copy.deepcopy(tokenizer)
    state = json.loads(copied.backend_tokenizer.to_str())
    names = {one.content for one in marks}
    for number, one in enumerate(state["added_tokens"]):
        if one["content"] in names:  # renamed, as those that follow would get other ids without it
            one["content"] = f"\U0010fffd{number}\U0010fffd"
    copied._tokenizer = type(copied.backend_tokenizer).from_str(json.dumps(state))
    return copied


def _as_chat_turn(tokenizer: Any, text: str) -> str:
    """A text as a user's turn of the tokenizer's chat template, which the library runs in a sandbox.

    Raises:
        InputError: the tokenizer has none, or it cannot be used.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError("no_chat", "This model has no chat template: it was not trained on conversations.")
    try:
        turn: str = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template raises what it likes
        raise InputError("chat_broken", "The chat template of this model cannot be used: turn Chat off.") from error
    return turn


def unknown_token_notes(tokenizer: Any, text: str, ids: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """A note ("unknown", words) that names the words which became the unknown token; empty where there are none.

    Some families also end their texts with that token, where it stands for nothing that was typed.
    """
    if tokenizer.unk_token_id not in ids:
        return ()
    if not tokenizer.is_fast:  # these do not say where a token stood: each word is read by itself
        with tokenizer_lock:
            read = {word: tokenizer(word, add_special_tokens=False)["input_ids"] for word in text.split()}
        words = [word for word, found in read.items() if tokenizer.unk_token_id in found]
        return (("unknown", " ".join(words)),) if words else ()
    with tokenizer_lock:
        encoding = tokenizer(text, return_offsets_mapping=True)
    spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    named = dict.fromkeys(text[start:end] for i, (start, end) in spans if i == tokenizer.unk_token_id and end > start)
    return (("unknown", " ".join(named)),) if named else ()
