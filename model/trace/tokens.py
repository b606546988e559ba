"""The tokens of a text, the patches of a picture and the moments of a sound, as a model reads them (NumPy only)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from model.arrays.types import Array


@dataclass(frozen=True)
class Tokens:
    """The tokens of one side of an attention, with readable labels.

    Attributes:
        texts: the label of each token; may repeat.
        special: True for tokens that were not typed, such as "</s>".
        inside_word: True for pieces that continue a word; their label begins with "·". Empty where there are none.
        raw: each token as its tokenizer writes it, such as "Ġcat" or "##ing". Empty where that is not known.
        word_parts: the text that each token contributes to its word; "" for the later tokens of one character. Empty
            where that is the label without its "·".
    """

    texts: tuple[str, ...]
    special: tuple[bool, ...]
    # A factory leaves no class attribute: `__getattr__` below is called only for what neither object nor class has.
    inside_word: tuple[bool, ...] = field(default_factory=tuple)
    raw: tuple[str, ...] = field(default_factory=tuple)
    word_parts: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        others = {len(self.inside_word), len(self.raw), len(self.word_parts)} - {0, len(self.texts)}
        if len(self.texts) != len(self.special) or others:
            raise ValueError(
                f"{len(self.texts)} tokens, but {len(self.special)} marks for special ones, {len(self.inside_word)} "
                f"for pieces inside words, {len(self.raw)} raw pieces and {len(self.word_parts)} parts of words"
            )

    @classmethod
    def lazy(cls, count: int, make: Callable[[], Tokens]) -> Tokens:
        """Tokens whose fields are computed on first access, so that a forward pass does not wait for labels.

        Args:
            count: number of tokens.
            make: returns the tokens; a ValueError is raised on access where they are not `count` many.
        """
        tokens = object.__new__(cls)
        vars(tokens).update(_count=count, _make=make)
        return tokens

    if not TYPE_CHECKING:  # else a type checker would accept every attribute

        def __getattr__(self, attribute):
            make = vars(self).get("_make") if attribute in self.__dataclass_fields__ else None
            if make is not None:  # two threads may both make them; the results are equal
                made = make()
                if len(made) != len(self):
                    raise ValueError(f"{len(self)} tokens were announced, and {len(made)} named")
                vars(self).update({name: getattr(made, name) for name in self.__dataclass_fields__})
                vars(self).pop("_make", None)
            if attribute not in vars(self):
                raise AttributeError(f"tokens have no attribute {attribute!r}")
            return vars(self)[attribute]

    def __len__(self) -> int:
        return int(vars(self)["_count"]) if "_count" in vars(self) else len(self.texts)

    def name(self, position: int) -> str:
        """The label of the token at a position; a label that occurs more than once gets the position: "is (4)"."""
        text = self.texts[position]
        return f"{text} ({position})" if self._counts[text] > 1 else text

    def words_in_pieces(self, most: int) -> tuple[str, ...]:
        """The words that are cut into more than `most` tokens; none where a tokenizer cuts every word into letters."""
        parts = self.word_parts or [text.removeprefix("·") for text in self.texts]
        words: list[list[str]] = []
        inside_word = self.inside_word or (False,) * len(self)
        for part, inside, special in zip(parts, inside_word, self.special, strict=True):
            if inside and words:
                words[-1].append(part)
            elif not special:
                words.append([part])
        if all(len(part.strip()) <= 1 for word in words for part in word):
            return ()
        return tuple(dict.fromkeys("".join(word).strip() for word in words if len(word) > most))

    @cached_property
    def _counts(self) -> Counter[str]:
        """How often each label occurs."""
        return Counter(self.texts)

    def first(self, count: int) -> Tokens:
        """The first so many tokens."""
        if count >= len(self):
            return self
        return Tokens(
            self.texts[:count],
            self.special[:count],
            self.inside_word[:count],
            self.raw[:count],
            self.word_parts[:count],
        )

    def padded(self, length: int) -> Tokens:
        """The same tokens followed by "<pad>", up to a length."""
        missing = length - len(self)
        if not missing:
            return self
        pads = ("<pad>",) * missing
        return Tokens(
            self.texts + pads,
            self.special + (True,) * missing,
            self.inside_word and self.inside_word + (False,) * missing,
            self.raw and self.raw + pads,
            self.word_parts and self.word_parts + pads,
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a vision model sees it: cropped to its input size, in patches in row-major order.

    The frames of a clip stand under each other, as their patches follow each other.

    Attributes:
        pixels: uint8 [height, width, 3]
        rows, columns: number of patches down and across, of all frames.
        first: position of the first patch among the tokens; the tokens before it stand for no patch.
        frames: number of frames.
    """

    pixels: Array
    rows: int
    columns: int
    first: int
    frames: int = 1


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound as a model of speech hears it: cut into moments of one length, each a token of the encoder.

    Behind them follow the moments of the silence with which short sounds are filled up, as special tokens.

    Attributes:
        loudness: largest magnitude in each moment of the sound, 0 to 1. float32 [moment]
        step: seconds from one moment to the next.
    """

    loudness: Array
    step: float

    def label(self, moment: int) -> str:
        """When a moment begins, such as "0.04 s"."""
        return f"{moment * self.step:.2f} s"
