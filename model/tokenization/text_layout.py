"""Where tokens stand in a text: their letters as typed, with the white space between them (no PyTorch)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from model.trace.tokens import Tokens

SEARCHED = 40  # letters after the last token in which the next one is looked for
SPACES = {"␣": " ", "⏎": "\n", "⇥": "\t", "␍": "\r"}  # labels of white space
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")
TITLES = frozenset(["Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St.", "Sr.", "Sra.", "Mme."])  # which end no sentence


@dataclass(frozen=True)
class PlacedToken:
    """One token in its text.

    Attributes:
        before: white space between the token before and this one.
        shown: its letters; the white space itself where it is nothing else; "" for later pieces of one letter.
        special: True for a token that was not typed.
    """

    before: str
    shown: str
    special: bool


def place_tokens(tokens: Tokens, text: str) -> tuple[PlacedToken, ...]:
    """The tokens of a text in its own letters, line breaks and indentation. [token]

    A token that is not found where it should stand, because the model rewrites its text, is shown by its label.

    Args:
        text: that the tokens were made of; letters may differ in case.
    """
    lowered = text.lower() if len(text.lower()) == len(text) else text
    placed, reached = [], 0
    parts = tokens.word_parts or tokens.texts
    spelled = [part for part, special in zip(parts, tokens.special, strict=True) if not special]
    as_typed = "".join(spelled).lower() == "".join(lowered.split())  # letter by letter: residues, symbols, characters
    for place, (label, special) in enumerate(zip(tokens.texts, tokens.special, strict=True)):
        inside = bool(tokens.inside_word) and tokens.inside_word[place]
        letters = tokens.word_parts[place] if tokens.word_parts else label.removeprefix("·" if inside else "")
        if special:
            placed.append(PlacedToken("", label, True))
            continue
        if (
            label.strip("·")[:1] in SPACES and not (letters := SPACES.get(letters, letters)).strip()
        ):  # white space that is a token
            space = re.compile(r"\n+|[^\S\n]+").match(text, reached)
            shown = letters if letters and text.startswith(letters, reached) and "\n" in letters else ""
            shown = shown or (space.group() if space else SPACES.get(label, " "))
            placed.append(PlacedToken("", shown, False))
            reached += len(shown) if text.startswith(shown, reached) else 0
            continue
        if not letters:
            placed.append(PlacedToken("", "", False))
            continue
        found = _find(lowered, letters, reached)
        if found < 0:
            placed.append(PlacedToken("" if inside or not placed else " ", letters, False))
            continue
        before, shown = text[reached:found], text[found : found + len(letters)]
        glued = bool(placed) and not before and not inside and placed[-1].shown[-1:].isalnum() and shown[:1].isalnum()
        placed.append(PlacedToken(" " if glued and tokens.inside_word and not as_typed else before, shown, False))
        reached = found + len(letters)
    return tuple(placed)


def _find(lowered: str, letters: str, reached: int) -> int:
    """Where letters stand next, in any case; -1 where they do not within `SEARCHED` letters of what is no letter."""
    wanted = letters.lower() if len(letters.lower()) == len(letters) else letters
    start = reached
    while start < len(lowered) and lowered[start].isspace():
        start += 1
    found = lowered.find(wanted, start, start + len(wanted) + SEARCHED)
    return found if found >= 0 and not any(letter.isalnum() for letter in lowered[start:found]) else -1


def sentences(placed: Sequence[PlacedToken]) -> tuple[range, ...]:
    """The tokens of each sentence or line, one after the other; special tokens stay with their neighbours."""
    starts = [0]
    for place in range(1, len(placed)):
        one, last = placed[place], placed[place - 1]
        broken = "\n" in one.before or "\n" in last.shown
        ended = bool(SENTENCE_END.search(last.shown)) and not last.special and one.before.isspace()
        ended = ended and _word_until(placed, place) not in TITLES
        if (broken or ended) and any(not other.special for other in placed[starts[-1] : place]):
            starts.append(place)
    return tuple(range(start, end) for start, end in zip(starts, [*starts[1:], len(placed)], strict=True))


def _word_until(placed: Sequence[PlacedToken], stop: int) -> str:
    """The letters since the last white space before a token."""
    start = stop - 1
    while start and not placed[start].before and not placed[start - 1].special:
        start -= 1
    return "".join(one.shown for one in placed[start:stop])


def words(placed: Sequence[PlacedToken]) -> list[tuple[str, range]]:
    """The words of a text in small letters, each with its tokens; special tokens are left out."""
    found: list[tuple[str, range]] = []
    for place, one in enumerate(placed):
        if one.special or not one.shown.strip():
            continue
        joins = bool(found) and not one.before and found[-1][1].stop == place
        if joins and one.shown[:1].isalnum() and found[-1][0][-1:].isalnum():
            found[-1] = (found[-1][0] + one.shown.lower(), range(found[-1][1].start, place + 1))
        else:
            found.append((one.shown.strip().lower(), range(place, place + 1)))
    return found


def token_spans(placed: Sequence[PlacedToken], text: str) -> list[tuple[int, int]]:
    """First letter of each token in its text, and the letter after its last; (0, 0) for one that is not there."""
    spans, reached = [], 0
    for one in placed:
        start = reached + len(one.before)
        if one.special or not one.shown or text[start : start + len(one.shown)] != one.shown:
            spans.append((0, 0))
            continue
        reached = start + len(one.shown)
        spans.append((start, reached))
    return spans


def tokens_within(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """The tokens that share a letter with a part of the text. spans: of `token_spans`"""
    return tuple(place for place, (first, last) in enumerate(spans) if first < end and last > start)
