"""Readable labels of token ids, and which tokens continue a word."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from model.arrays.lazy import LazySequence
from model.trace.tokens import Tokens

Piece = tuple[str, int, int]  # its text, and where that begins and ends in the input text
VISIBLE_SIGNS = {
    " ": "␣",
    "\n": "⏎",
    "\t": "⇥",
    "\r": "␍",
    "\u200d": "ZWJ",
    "\u200c": "ZWNJ",
    "\ufe0e": "VS15",
    "\ufe0f": "VS16",
}
SPACE_MARKS = (" ", "▁", "Ġ")  # with which tokenizers write a token that begins with a space
MOST_SIGNS = 3  # of one blank in a row; more are counted
# Names of other characters that leave no ink; those without one here are named by their number.
INVISIBLE = {
    "\0": "NUL",
    "\xa0": "NBSP",
    "\xad": "SHY",
    "\u200b": "ZWSP",
    "\u2060": "WJ",
    "\ufeff": "BOM",
    "\x7f": "DEL",
}
INVISIBLE |= {"\u200e": "LRM", "\u200f": "RLM", "\u061c": "ALM", "\u202f": "NNBSP", "\u3000": "IDSP", "\x1b": "ESC"}
INVISIBLE |= dict(zip("\u202a\u202b\u202c\u202d\u202e", ("LRE", "RLE", "PDF", "LRO", "RLO"), strict=True))
INVISIBLE |= dict(zip("\u2066\u2067\u2068\u2069", ("LRI", "RLI", "FSI", "PDI"), strict=True))
# They leave no ink either, but shape the letters and pictures that they stand among.
SHAPING = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0020-\U000e007f]")
# Scripts without spaces between words: two adjacent letters need not belong to one word.
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
REPLACEMENT = "\ufffd"  # a decoder writes it for bytes that are no whole character
MAX_CHARACTER_BYTES = 4  # in UTF-8

# A tokenizer of two languages changes its state while it encodes the target: only one thread may use it at a time.
tokenizer_lock = threading.Lock()


def label_pieces(raw: Sequence[str], special: Sequence[bool]) -> Tokens:
    """Tokens with readable labels for BPE pieces: no "▁" at a word's start, "·" before a piece that continues a word.

    Args:
        raw: the pieces as the tokenizer writes them; special: True for tokens that were not typed.
    """
    texts, inside_word = [], []
    for before, token in zip(["", *raw], raw, strict=False):
        inside = before[-1:].isalnum() and token[:1].isalnum()
        texts.append(_inked(f"·{token}" if inside else token.removeprefix("▁")) or "␣")
        inside_word.append(inside)
    return Tokens(tuple(texts), tuple(special), tuple(inside_word), tuple(raw))


def label_ids(tokenizer: Any, ids: Sequence[int], pieces: Callable[[], Sequence[Piece]] | None = None) -> Tokens:
    """Tokens with readable labels for the ids of a Hugging Face tokenizer, computed on first access.

    A character that is split into tokens is labelled "日 1/2", "日 2/2".

    Args:
        pieces: returns the text of each id, where the tokenizer knows it; without it the ids are decoded.
    """

    def make() -> Tokens:
        with tokenizer_lock:
            return _label_ids(tokenizer, ids, None if pieces is None else pieces())

    return Tokens.lazy(len(ids), make)


def labels_apart(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The label of each id on its own, such as those of candidates, told from the others by `tell_apart`."""
    with tokenizer_lock:
        tokens = _label_ids(tokenizer, ids, None, apart=True)
    return tell_apart(ids, tokens.texts, tokens.raw)


def tell_apart(ids: Sequence[int], texts: Sequence[str], raw: Sequence[str]) -> tuple[str, ...]:
    """Labels of ids, of which those that look alike show the blank that they begin with, as "␣the" beside "the".

    Args:
        texts: the label of each; raw: as its tokenizer writes it, which tells apart what is alike even so.
    """
    shown, written = dict(zip(ids, texts, strict=True)), dict(zip(ids, raw, strict=True))
    for more in (lambda one: VISIBLE_SIGNS[" "] * one.startswith(SPACE_MARKS), lambda one: f"‹{one}› "):
        counts = Counter(shown.values())
        shown = {one: (more(written[one]) if counts[text] > 1 else "") + text for one, text in shown.items()}
    return tuple(shown[one] for one in ids)


def _label_ids(tokenizer: Any, ids: Sequence[int], pieces: Sequence[Piece] | None, apart: bool = False) -> Tokens:
    """What `label_ids` returns, computed at once. apart: whether no id stands behind another"""
    special_ids = set(tokenizer.all_special_ids)
    known = tokenizer.convert_ids_to_tokens(list(ids))  # None for ids that the model has and its tokenizer lacks
    raw = [f"‹{i}›" if token is None else str(token) for i, token in zip(ids, known, strict=True)]
    # Not typed, unless the token stands for typed text, as "[UNK]" does.
    marks = [i in special_ids or token is None for i, token in zip(ids, known, strict=True)]
    if apart:
        pieces = [_decode_pieces(tokenizer, [token], [mark])[0] for token, mark in zip(raw, marks, strict=True)]
    elif pieces is None or _misplaced(raw, marks, pieces):
        pieces = _decode_pieces(tokenizer, raw, marks)
    # "▁" is a single space, but a tokenizer may report that it covers the letter after it.
    pieces = [
        (" ", start, start) if token == "▁" else (text, start, end)
        for token, (text, start, end) in zip(raw, pieces, strict=True)
    ]
    special = [mark and start >= end for mark, (_, start, end) in zip(marks, pieces, strict=True)]
    labels, inside_word, word_parts = [], [], []
    symbols = _reads_symbols(tokenizer)
    before, end_before = "", -1
    for group in [[index] for index in range(len(ids))] if apart else _group_by_character(pieces, special):
        first, last = group[0], group[-1]
        whole = _merge_overlapping([pieces[index] for index in group])
        start, end = pieces[first][1], pieces[last][2]
        continues = raw[first].startswith("##") and not whole.startswith("#")
        continues |= before == " " and not whole[:1].isspace()  # a token that is one space begins the word after it
        inside = not (marks[first] or symbols) and (continues or (start == end_before and _same_word(before, whole)))
        label = raw[first] if marks[first] else _visible(whole) or raw[first]
        for part in range(1, len(group) + 1):
            name = f"{label} {part}/{len(group)}" if len(group) > 1 else label
            labels.append(f"·{name}" if inside and part == 1 else name)
            inside_word.append(inside or part > 1)
            word_parts.append((label if marks[first] else whole.strip(" ")) if part == 1 else "")
        before, end_before = ("", -1) if apart else ("" if marks[first] else whole, end)
    return Tokens(tuple(labels), tuple(special), tuple(inside_word), tuple(raw), tuple(word_parts))


def _misplaced(raw: Sequence[str], marks: Sequence[bool], pieces: Sequence[Piece]) -> bool:
    """Whether a tokenizer gives places in the text that have other letters than its tokens.

    A byte-level one does so behind every byte that its vocabulary lacks. Only plain letters are looked at: accents and
    other scripts may be written in another way than they were typed.
    """
    for token, mark, (text, _, _) in zip(raw, marks, pieces, strict=True):
        written, typed = token.lstrip("▁Ġ#").casefold(), text.strip().casefold()
        plain = all(one.isascii() and one.isalnum() for one in (written, typed))
        if not mark and plain and len(written) == len(typed) and written != typed:
            return True
    return False


def _reads_symbols(tokenizer: Any) -> bool:
    """Whether each token is a symbol of its own, such as a residue of a protein: none continues a word."""
    backend = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if backend is not None:
        return type(backend).__name__ == "WordLevel"
    marks = tokenizer.all_special_tokens
    return all(len(token) == 1 or token in marks or token.startswith("<") for token in tokenizer.get_vocab())


def predicted_labels(tokenizer: Any, input_ids: Sequence[int], likeliest: Sequence[int]) -> LazySequence:
    """The label of the likeliest next id after each input id, computed on first access. likeliest: these ids"""

    def compute(position: int) -> str:
        # The bytes of one character may be spread over several ids: a label depends on those before it.
        context = input_ids[max(0, position - MAX_CHARACTER_BYTES) : position + 1]
        return label_ids(tokenizer, [*context, likeliest[position]]).texts[-1]

    return LazySequence(len(likeliest), compute)


def _group_by_character(pieces: Sequence[Piece], special: Sequence[bool]) -> list[list[int]]:
    """The indices of the tokens, grouped where they share a character."""
    groups: list[list[int]] = []
    end_before = -1
    for index, (_, start, end) in enumerate(pieces):
        if groups and not special[index] and start < min(end, end_before):
            groups[-1].append(index)
        else:
            groups.append([index])
        end_before = max(end, end_before)
    return groups


def _merge_overlapping(pieces: Sequence[Piece]) -> str:
    """The text of pieces that overlap in the input text."""
    if len(pieces) == 1:
        return pieces[0][0]
    text, reached = "", pieces[0][1]
    for piece, _, end in pieces:
        text += piece[len(piece) - max(end - reached, 0) :] if end > reached else ""
        reached = max(end, reached)
    return text or pieces[0][0]


def _same_word(before: str, after: str) -> bool:
    """True where two adjacent pieces belong to one word, or to one character of several code points."""
    a, b = before[-1:], after[:1]
    if not a or not b or a.isspace() or b.isspace():
        return False
    joins = unicodedata.category(b).startswith("M") or b in "\u200c\u200d" or "\U0001f3fb" <= b <= "\U0001f3ff"
    if (
        joins or a == "\u200d" or all("\U0001f1e6" <= letter <= "\U0001f1ff" for letter in (a, b))
    ):  # a flag is two such letters
        return True
    if SPACELESS.match(a) or SPACELESS.match(b):
        return False
    return b.isalnum() and (a.isalnum() or unicodedata.category(a).startswith("M") or a == "\u200c")


def _visible(text: str) -> str:
    """A piece without the space around it; what would be invisible is written by signs, so that each piece differs."""
    inked = text.strip(" \n\t\r\f\v")
    if not inked:
        return "".join(_sign_run(one.group()) for one in re.finditer(r"(.)\1*", text, re.S))
    if len(inked) == 1 and unicodedata.category(inked).startswith("M") and inked not in VISIBLE_SIGNS:
        return f"◌{inked}"
    return VISIBLE_SIGNS.get(inked) or _inked(inked)


def _sign_run(run: str) -> str:
    """One blank character that repeats, as signs: "⏎⏎", "␣×8"."""
    sign = VISIBLE_SIGNS.get(run[0]) or _name(run[0])
    return sign * len(run) if len(run) <= MOST_SIGNS else f"{sign}×{len(run)}"


def _inked(text: str) -> str:
    """A text in which characters that leave no ink are written by name, such as "a‹ZWSP›b"; one alone as "ZWSP"."""
    if text.isascii() and text.isprintable():
        return text
    named = [_name(letter) for letter in text]
    if len(text) == 1 and named[0]:
        return named[0]
    return "".join(f"‹{name}›" if name else letter for name, letter in zip(named, text, strict=True))


def _name(letter: str) -> str:
    """The name of a character that leaves no ink, such as "NBSP" or "U+2028"; "" for any other."""
    if letter in " \n\t" or SHAPING.match(letter):
        return ""
    invisible = unicodedata.category(letter) in ("Cc", "Cf", "Zs", "Zl", "Zp")
    return INVISIBLE.get(letter, f"U+{ord(letter):04X}" if invisible else "")


def _decode_pieces(tokenizer: Any, raw: Sequence[str], special: Sequence[bool]) -> list[Piece]:
    """The text of each token and its place in the decoded text; tokens that share a character are decoded as one."""
    is_wordpiece = type(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)).__name__ == "WordPiece"
    pieces: list[Piece] = []
    index = reached = 0
    while index < len(raw):
        if special[index]:
            pieces.append((raw[index], reached, reached))
            index += 1
            continue
        for count in range(1, min(MAX_CHARACTER_BYTES, len(raw) - index) + 1):
            tokens = raw[index : index + count]
            text = str(tokenizer.convert_tokens_to_string(list(tokens)))
            # Some tokenizers write nothing for bytes that are no whole character (ByT5).
            if REPLACEMENT not in text and (text or not _is_high_byte(tokens[0])):
                break
        else:
            count, text = 1, f"‹{_byte_label(raw[index])}›"
        if is_wordpiece:
            text = tokens[0].removeprefix("##") if tokens[0].startswith("##") else f" {text}"
        elif tokens[0].startswith("▁") and not text.startswith(" "):
            text = f" {text}"
        pieces += [(text, reached, reached + len(text))] * count
        index, reached = index + count, reached + len(text)
    return pieces


def _is_high_byte(token: str) -> bool:
    """Whether a token can be one byte, of those that are no character by themselves in UTF-8."""
    return len(token) == 1 and 0x80 <= ord(token) <= 0xFF


def _byte_label(token: str) -> str:
    """The bytes of a byte-level token in hexadecimal, or the token itself where it is none."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    values = {letter: value for value, letter in bytes_to_unicode().items()}
    if all(letter in values for letter in token):
        return " ".join(f"{values[letter]:02X}" for letter in token)
    return f"{ord(token):02X}" if _is_high_byte(token) else token.strip("<>")
