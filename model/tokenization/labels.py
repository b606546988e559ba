"""Tokens as people read them."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model.arrays.lazy import Words
from model.errors import check_length
from model.trace.tokens import Tokens

Piece = tuple[str, int, int]  # text, and where it begins and ends in what was typed
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥", "\u200d": "ZWJ", "\u200c": "ZWNJ", "\ufe0e": "VS15", "\ufe0f": "VS16"}
# Scripts that put no spaces between words: that two of their letters touch does not make them one word.
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
LOST = "\ufffd"  # what a decoder puts where bytes are no whole character
LONGEST = 4  # bytes of a character in UTF-8

# A tokenizer with two languages switches between them for a moment: nobody may look meanwhile.
_one_at_a_time = threading.Lock()


def readable(raw: Sequence[str], special: Sequence[bool]) -> Tokens:
    """BPE pieces as people read them: no "▁" at a word's start, "·" before a piece that goes on inside a word."""
    texts, insides = [], []
    for before, token in zip(["", *raw], raw, strict=False):
        inside = before[-1:].isalnum() and token[:1].isalnum()
        texts.append(f"·{token}" if inside else token.removeprefix("▁") or "␣")
        insides.append(inside)
    return Tokens(tuple(texts), tuple(special), tuple(insides), tuple(raw))


def labelled(tokenizer: Any, ids: Sequence[int], pieces: Callable[[], Sequence[Piece]] | None = None) -> Tokens:
    """Labels of a Hugging Face tokenizer's ids, made when they are looked at.

    A character cut into tokens gets "日 1/2", "日 2/2".

    Args:
        pieces: finds for each id the text it stands for, where that is known; else the ids are decoded.
    """

    def name() -> Tokens:
        with _one_at_a_time:
            return _labelled(tokenizer, ids, None if pieces is None else pieces())

    return Tokens.later(len(ids), name)


def _labelled(tokenizer: Any, ids: Sequence[int], pieces: Sequence[Piece] | None) -> Tokens:
    marks = set(tokenizer.all_special_ids)
    known = tokenizer.convert_ids_to_tokens(list(ids))  # some models have more ids than their tokenizer knows
    raw = [f"‹{i}›" if token is None else str(token) for i, token in zip(ids, known, strict=True)]
    # Nobody typed these, unless one stands for something typed, as "[UNK]" does.
    nobody = [i in marks or token is None for i, token in zip(ids, known, strict=True)]
    pieces = _decoded(tokenizer, raw, nobody) if pieces is None else pieces
    # A lone "▁" is the space alone; its tokenizer may say that it covers the letter behind it.
    pieces = [
        (" ", at, at) if token == "▁" else (text, at, end) for token, (text, at, end) in zip(raw, pieces, strict=True)
    ]
    special = [mark and start >= end for mark, (_, start, end) in zip(nobody, pieces, strict=True)]
    labels, insides, adds = [], [], []
    before, end_before = "", -1
    for group in _characters(pieces, special):
        first, last = group[0], group[-1]
        whole = _joined([pieces[place] for place in group])
        start, end = pieces[first][1], pieces[last][2]
        goes_on = raw[first].startswith("##") and not whole.startswith("#")
        goes_on |= before == " " and not whole[:1].isspace()  # a space that is a token begins the word behind it
        inside = not nobody[first] and (goes_on or (start == end_before and _one_word(before, whole)))
        label = raw[first] if nobody[first] else _visible(whole) or raw[first]
        for part in range(1, len(group) + 1):
            name = f"{label} {part}/{len(group)}" if len(group) > 1 else label
            labels.append(f"·{name}" if inside and part == 1 else name)
            insides.append(inside or part > 1)
            adds.append((label if nobody[first] else whole.strip(" ")) if part == 1 else "")
        before, end_before = "" if nobody[first] else whole, end
    return Tokens(tuple(labels), tuple(special), tuple(insides), tuple(raw), tuple(adds))


def following(tokenizer: Any, fed: Sequence[int], logits: np.ndarray) -> Words:
    """The label of the likeliest id behind the ids that were fed up to each place. logits: [token, vocab]"""

    def find(place: int) -> str:
        behind = [*fed[max(0, place - LONGEST) : place + 1], int(logits[place].argmax())]
        return labelled(tokenizer, behind).texts[-1]

    return Words(len(logits), find)


def _characters(pieces: Sequence[Piece], special: Sequence[bool]) -> list[list[int]]:
    """The places of the tokens, those together that share a character."""
    groups: list[list[int]] = []
    end_before = -1
    for place, (_, start, end) in enumerate(pieces):
        if groups and not special[place] and start < min(end, end_before):
            groups[-1].append(place)
        else:
            groups.append([place])
        end_before = max(end, end_before)
    return groups


def _joined(pieces: Sequence[Piece]) -> str:
    """The text of pieces that overlap."""
    if len(pieces) == 1:
        return pieces[0][0]
    text, reached = "", pieces[0][1]
    for piece, _, end in pieces:
        text += piece[len(piece) - max(end - reached, 0) :] if end > reached else ""
        reached = max(end, reached)
    return text or pieces[0][0]


def _one_word(before: str, after: str) -> bool:
    """Whether two pieces that touch belong to one word, or to one character made of several."""
    a, b = before[-1:], after[:1]
    if not a or not b or a.isspace() or b.isspace():
        return False
    joins = unicodedata.category(b).startswith("M") or b in "\u200c\u200d" or "\U0001f3fb" <= b <= "\U0001f3ff"
    if joins or a == "\u200d" or all("\U0001f1e6" <= letter <= "\U0001f1ff" for letter in (a, b)):  # half a flag each
        return True
    if SPACELESS.match(a) or SPACELESS.match(b):
        return False
    return b.isalnum() and (a.isalnum() or unicodedata.category(a).startswith("M") or a == "\u200c")


def _visible(text: str) -> str:
    """A piece without the spaces around it; what would be invisible alone by its sign."""
    text = text.strip(" ") or text[:1]
    if len(text) == 1 and unicodedata.category(text).startswith("M") and text not in VISIBLE:
        return f"◌{text}"
    return VISIBLE.get(text, text.strip() or "".join(VISIBLE.get(letter, letter) for letter in text))


def _decoded(tokenizer: Any, raw: Sequence[str], special: Sequence[bool]) -> list[Piece]:
    """The text of each token, as one text in which they stand; as many are decoded at once as make a character."""
    is_wordpiece = type(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)).__name__ == "WordPiece"
    pieces: list[Piece] = []
    place = reached = 0
    while place < len(raw):
        if special[place]:
            pieces.append((raw[place], reached, reached))
            place += 1
            continue
        for count in range(1, min(LONGEST, len(raw) - place) + 1):
            tokens = raw[place : place + count]
            text = str(tokenizer.convert_tokens_to_string(list(tokens)))
            if LOST not in text:
                break
        else:
            count, text = 1, f"‹{_bytes(raw[place])}›"
        if is_wordpiece:
            text = tokens[0].removeprefix("##") if tokens[0].startswith("##") else f" {text}"
        elif tokens[0].startswith("▁") and not text.startswith(" "):
            text = f" {text}"
        pieces += [(text, reached, reached + len(text))] * count
        place, reached = place + count, reached + len(text)
    return pieces


def _bytes(token: str) -> str:
    """The bytes of a byte-level token, or its own name where it is none."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    values = {letter: value for value, letter in bytes_to_unicode().items()}
    if all(letter in values for letter in token):
        return " ".join(f"{values[letter]:02X}" for letter in token)
    return token.strip("<>")


def encode(tokenizer: Any, text: str, which: str, allowed: int, special: bool = True) -> tuple[list[int], Tokens]:
    """A text as a Hugging Face tokenizer cuts it: ids and labels.

    Args:
        which: "text" or "target"; allowed: how many tokens the model takes; special: whether marks are added.

    Raises:
        InputError: it is blank or too long.
    """
    sides = {"text_target": text} if which == "target" else {"text": text}
    with _one_at_a_time:
        encoding = tokenizer(
            **sides,
            add_special_tokens=special,
            return_offsets_mapping=tokenizer.is_fast,
            split_special_tokens=True,
        )
    ids = encoding["input_ids"]
    check_length(which, len(ids) if text.strip() else 0, allowed)

    def pieces() -> list[Piece]:
        return [(text[start:end], start, end) for start, end in encoding["offset_mapping"]]

    return ids, labelled(tokenizer, ids, pieces if tokenizer.is_fast else None)


def unknown(tokenizer: Any, text: str, ids: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """A note of the parts of a text that became the token for what is not known; none where all is known.

    Some families end their texts with that token, too, which stands for nothing that was typed.
    """
    if tokenizer.unk_token_id not in ids or not tokenizer.is_fast:
        return ()
    with _one_at_a_time:
        read = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
    places = zip(read["input_ids"], read["offset_mapping"], strict=True)
    words = dict.fromkeys(text[start:end] for i, (start, end) in places if i == tokenizer.unk_token_id and end > start)
    return (("unknown", " ".join(words)),) if words else ()
