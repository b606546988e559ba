"""What a model read, as people read it: the tokens of a text, the patches of a picture (NumPy only)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from model.arrays.types import Array


@dataclass(frozen=True)
class Tokens:
    """The tokens of one side of an attention, as people read them.

    Attributes:
        texts: the label of each token; may repeat.
        special: True for tokens that nobody typed, such as "</s>".
        inside: True for pieces that go on inside a word; their label begins with "·". Empty where there are none.
        raw: each token as its tokenizer writes it, such as "Ġcat" or "##ing". Empty where that is not known.
        adds: what each token adds to the word it is in; "" for the later parts of one character. Empty where that is
            the label without its "·".
    """

    texts: tuple[str, ...]
    special: tuple[bool, ...]
    # Made by a factory, so that the class has none: `__getattr__` below is asked for what is missing everywhere only.
    inside: tuple[bool, ...] = field(default_factory=tuple)
    raw: tuple[str, ...] = field(default_factory=tuple)
    adds: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        others = {len(self.inside), len(self.raw), len(self.adds)} - {0, len(self.texts)}
        if len(self.texts) != len(self.special) or others:
            raise ValueError(
                f"{len(self.texts)} tokens, but {len(self.special)} marks for special ones, {len(self.inside)} "
                f"for pieces inside words, {len(self.raw)} raw pieces and {len(self.adds)} parts of words"
            )

    @classmethod
    def later(cls, count: int, name: Callable[[], Tokens]) -> Tokens:
        """So many tokens, which `name` names when somebody looks at them; a forward pass need not wait for that."""
        tokens = object.__new__(cls)
        vars(tokens).update(_count=count, _name=name)
        return tokens

    if not TYPE_CHECKING:  # or every attribute would seem to be there

        def __getattr__(self, attribute):
            name = vars(self).get("_name") if attribute in self.__dataclass_fields__ else None
            if name is not None:  # two who look at the same time find the same
                named = name()
                if len(named) != len(self):
                    raise ValueError(f"{len(self)} tokens were announced, and {len(named)} named")
                vars(self).update({one: getattr(named, one) for one in self.__dataclass_fields__})
                vars(self).pop("_name", None)
            if attribute not in vars(self):
                raise AttributeError(f"tokens have no attribute {attribute!r}")
            return vars(self)[attribute]

    def __len__(self) -> int:
        return int(vars(self)["_count"]) if "_count" in vars(self) else len(self.texts)

    def name(self, place: int) -> str:
        """The token at a place; one that stands there more than once with its place, as in "is (4)"."""
        text = self.texts[place]
        return f"{text} ({place})" if self._counts[text] > 1 else text

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(self.texts)

    def padded(self, length: int) -> Tokens:
        """The same tokens with "<pad>" behind them, up to a length."""
        more = length - len(self)
        if not more:
            return self
        pads = ("<pad>",) * more
        return Tokens(
            self.texts + pads,
            self.special + (True,) * more,
            self.inside and self.inside + (False,) * more,
            self.raw and self.raw + pads,
            self.adds and self.adds + pads,
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a model saw it: cut to its size, in patches from left to right and top to bottom.

    Attributes:
        pixels: uint8 [height, width, 3]
        rows, columns: how many patches it is cut into.
        first: place of the first patch among the tokens; what stands before it belongs to no place.
    """

    pixels: Array
    rows: int
    columns: int
    first: int
