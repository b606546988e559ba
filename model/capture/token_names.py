"""Names for the tokens of a watched module, as a caller gives them; positions where none are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.trace.tokens import Tokens

STACKS = ("encoder", "decoder")
Names = tuple[str, ...]


@dataclass(frozen=True)
class TokenNames:
    """Names of tokens.

    Attributes:
        stacks: "encoder" | "decoder" -> names, for one item or for each; "" for every side that has as many tokens.
        each: whether there is a list of names for each item of the batch.
    """

    stacks: Mapping[str, tuple[Names, ...]]
    each: bool

    @classmethod
    def read(cls, tokens: Any) -> TokenNames:
        """Names as they were given.

        Args:
            tokens: a list of names, a list of such lists (one for each item of the batch), or a dictionary of
                either by "encoder" and "decoder"; None for positions.

        Raises:
            TypeError, ValueError: it is none of them.
        """
        if tokens is None:
            return cls({}, False)
        given = dict(tokens) if isinstance(tokens, Mapping) else {"": tokens}
        if isinstance(tokens, Mapping) and (unknown := [key for key in given if key not in STACKS]):
            raise ValueError(f"tokens are named for {unknown[0]!r}; there are 'encoder' and 'decoder'.")
        read = {stack: _read_list(names) for stack, names in given.items()}
        each = {one for one, _ in read.values()}
        if len(each) > 1:
            raise ValueError("tokens has one list of names for one stack, and a list for each item for the other.")
        return cls({stack: names for stack, (_, names) in read.items()}, each == {True})

    def check(self, counts: Collection[int], item: int) -> None:
        """Raise a ValueError where there are names for any side, and none has as many tokens.

        Args:
            counts: how many queries and keys the attentions have; item: place in the batch.
        """
        names = self._of("", item)
        if names is not None and len(names) not in counts and not (self.each and len(names) < max(counts)):
            raise ValueError(
                f"tokens has {len(names)} names, and there are {' or '.join(map(str, sorted(counts)))} tokens. Leave "
                f"tokens out to have positions as names."
            )

    def sides(self, kind: str, queries: int, keys: int, extra: Sequence[str], item: int) -> tuple[Tokens, Tokens]:
        """The tokens of queries and of keys.

        Args:
            kind: "encoder", "decoder" or "cross"; extra: names of keys at the end that are no tokens.
            item: place in the batch.

        Raises:
            ValueError: names of a stack are not as many as its tokens.
        """
        asking, asked = ("decoder", "encoder") if kind == "cross" else (kind, kind)
        real = keys - len(extra)
        key_names = self._fit(asked, real, item)
        if kind != "cross" and queries < real:  # the last tokens of a text, whose earlier keys were cached
            query_names = key_names[real - queries :]
        else:
            query_names = self._fit(asking, queries, item)
        return _tokens(query_names), _tokens((*key_names, *(f"({name})" for name in extra)))

    def _fit(self, stack: str, count: int, item: int) -> Names:
        """So many names of a stack; positions where it has none."""
        names = self._of(stack, item)
        if names is None:
            names = self._of("", item)
            if names is not None and len(names) != count and not (self.each and len(names) < count):
                names = None
        if names is None:
            return tuple(map(str, range(count)))
        if self.each and len(names) < count:  # a shorter item of a padded batch
            names += ("<pad>",) * (count - len(names))
        if len(names) != count:
            raise ValueError(f"tokens names {len(names)} tokens of the {stack}, which has {count}.")
        return names

    def _of(self, stack: str, item: int) -> Names | None:
        """The given names of a stack for an item."""
        names = self.stacks.get(stack)
        if names is None:
            return None
        if not self.each:
            return names[0]
        if item >= len(names):
            raise ValueError(f"tokens has names for {len(names)} items of the batch, and none for item {item}.")
        return names[item]


def _read_list(names: Any) -> tuple[bool, tuple[Names, ...]]:
    """Whether there is a list for each item, and the lists."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise TypeError(f'tokens are a list of names, such as ["The", "cat"]; got {names!r}.')
    each = not isinstance(names[0], str) and isinstance(names[0], Sequence)
    return each, tuple(tuple(map(str, one)) for one in names) if each else (tuple(map(str, names)),)


def _tokens(names: Sequence[str]) -> Tokens:
    return Tokens(tuple(names), (False,) * len(names))
