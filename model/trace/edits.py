"""What a user may change before a pass."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

Head = tuple[str, int | None, int | None]  # kind, layer, head; None stands for all
Cell = tuple[str, int | None, int] | tuple[str, int | None, int, int]  # kind, query or None for all, key[, layer]

KINDS = ("encoder", "decoder", "cross")
PLACES = ("own", "off", "shuffled")
# How many parts name a place of each edit; of the last one's, the numbers may not be None.
WIDTHS = {"heads": (3,), "blocked": (3, 4), "masks": (2,), "temperature": (1,), "uniform": (3,), "patched": (3,)}
_SHAPE = re.compile(r"full|causal|(?:window|block)[1-9]\d{0,3}")


@dataclass(frozen=True)
class Edits:
    """Changes to a forward pass; `Edits()` changes nothing and gives bit-equal results. Hashable, equal by value.

    Where a kind, layer and head are named, None stands for all of them, and what names more wins.

    Attributes:
        heads: (kind, layer, head) -> factor on the head's output before W_O; 0 silences it, 1 changes nothing.
        blocked: (kind, query, key) or (kind, query, key, layer) that may not be used; query None is every query.
        masks: (kind, layer) -> "full" (only padding is forbidden), "causal", "window5" (up to 5 tokens away, within
            the model's own mask) or "block4" (only within runs of 4 tokens, within the model's own mask).
        temperature: kind -> the scores are divided by it before the softmax.
        uniform: (kind, layer, head) that look at everything they may see alike.
        patched: (kind, layer, head) -> (text, target) whose pattern the head gets instead of its own.
        positions: "own"; "off", every token is told that it stands at place 0; or "shuffled", in blocks of 8.

    Raises:
        ValueError: with what is wrong and its value.
    """

    heads: Mapping[Head, float] = field(default_factory=dict)
    blocked: Collection[Cell] = frozenset()
    masks: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    temperature: Mapping[str, float] = field(default_factory=dict)
    uniform: Collection[Head] = frozenset()
    patched: Mapping[Head, tuple[str, str | None]] = field(default_factory=dict)
    positions: str = "own"

    def __post_init__(self) -> None:
        for one in fields(self):
            value: Any = getattr(self, one.name)
            if one.name in WIDTHS:
                if isinstance(value, Mapping):
                    value = MappingProxyType({_place(one.name, where): v for where, v in value.items()})
                else:
                    value = frozenset(_place(one.name, where) for where in value)
                object.__setattr__(self, one.name, value)
        for name, low, high in (("heads", -1e6, 1e6), ("temperature", 1e-6, 1e6)):
            # Adding 0 turns -0.0 into 0.0: equal edits are to be written alike.
            numbers = {where: float(value) + 0.0 for where, value in getattr(self, name).items()}
            for where, number in numbers.items():
                if not low <= number <= high:
                    raise ValueError(f"{name} at {where} is {number}, expected a number from {low:g} to {high:g}")
            object.__setattr__(self, name, MappingProxyType(numbers))
        for place, shape in self.masks.items():
            if not _SHAPE.fullmatch(shape):
                raise ValueError(f"The mask of {place} is {shape!r}, expected full, causal, window5 or block4")
        if self.positions not in PLACES:
            raise ValueError(f"positions is {self.positions!r}, expected one of {PLACES}")

    def __hash__(self) -> int:
        return hash(self.text())

    def __bool__(self) -> bool:
        """False where nothing is changed."""
        return self != UNCHANGED

    def __reduce__(self) -> tuple[Any, ...]:
        return Edits.parse, (self.text(),)

    def items(self) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
        """Each change alone: the field's name, what it names, and the value it sets (None in a set)."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, str):
                if value != one.default:
                    yield one.name, (), value
                continue
            for key in sorted(value, key=repr):
                yield (
                    one.name,
                    key if isinstance(key, tuple) else (key,),
                    None if isinstance(value, frozenset) else value[key],
                )

    def without(self, name: str, where: tuple[Any, ...]) -> Edits:
        """The same edits less one that `items` gave."""
        value: Any = getattr(self, name)
        key = where[0] if name == "temperature" else where
        if isinstance(value, str):
            left: Any = "own"
        elif isinstance(value, frozenset):
            left = value - {key}
        else:
            left = {k: v for k, v in value.items() if k != key}
        changed: dict[str, Any] = {name: left}
        return replace(self, **changed)

    def fitting(self, heads: Mapping[str, tuple[int, int]]) -> Edits:
        """The same edits less what a model does not have. heads: kind -> (layers, heads)"""
        kept = self
        for name, where, _ in self.items():
            if not fits(name, where, heads):
                kept = kept.without(name, where)
        return kept

    def cells(self, kind: str, layer: int) -> list[tuple[int | None, int]]:
        """The (query, key) that `blocked` names in one layer; a query of None is every query."""
        return [(query, key) for at, query, key, *only in self.blocked if at == kind and only in ([], [layer])]

    def text(self) -> str:
        """A short text that `parse` reads again, for links: `heads:cross.2.5=0.0;blocked:encoder.*.3`."""
        written = []
        for name, where, value in self.items():
            place = ".".join("*" if part is None else str(part) for part in where)
            if isinstance(value, tuple):
                value = "|".join("" if part is None else "'" + quote(part, safe="") for part in value)
            written.append(f"{name}{':' if where else ''}{place}{'' if value is None else f'={value}'}")
        return ";".join(written)

    @classmethod
    def parse(cls, text: str) -> Edits:
        """Read what `text` wrote.

        Raises:
            ValueError: with the part that cannot be read.
        """
        found: dict[str, Any] = {one.name: {} for one in fields(cls)} | {"blocked": set(), "uniform": set()}
        found["positions"] = "own"
        for part in filter(None, text.split(";")):
            head, _, value = part.partition("=")
            name, _, place = head.partition(":")
            try:
                where = tuple(p if p.isalpha() else None if p == "*" else int(p) for p in place.split(".") if p)
                if name != "positions":
                    _place(name, where)
                elif where:
                    raise ValueError(place)
                if name in ("blocked", "uniform"):
                    found[name].add(where)
                elif name == "positions":
                    found[name] = value
                elif name == "temperature":
                    found[name][where[0]] = float(value)
                elif name == "patched":
                    first, second = (unquote(t[1:]) if t else None for t in value.split("|"))
                    found[name][where] = (first or "", second)
                else:
                    found[name][where] = float(value) if name == "heads" else value
            except (ValueError, KeyError) as error:
                raise ValueError(f"{part!r} is no edit that Headlight knows") from error
        return cls(**found)


def _place(name: str, where: Any) -> Any:
    """What an edit names, checked, with plain numbers.

    Raises:
        ValueError: with what it names.
    """
    kind, *numbers = (where,) if isinstance(where, str) else where
    fine = kind in KINDS and 1 + len(numbers) in WIDTHS[name]
    fine &= all(n is None or (isinstance(n, Integral) and int(n) >= 0) for n in numbers)
    if not fine or (name == "blocked" and numbers[1] is None):
        raise ValueError(f"{name} names {where}: expected one of {KINDS} and {WIDTHS[name][-1] - 1} numbers from 0 on")
    plain = [None if n is None else int(n) for n in numbers]
    if name == "blocked" and plain[2:] == [None]:
        plain = plain[:2]
    return kind if name == "temperature" else (kind, *plain)


def named(mapping: Mapping[Any, Any], *where: Any) -> Any:
    """The value that a mapping holds for a place, most exact first, where None stands for all; None if it has none."""
    kind, *rest = where
    for known in range(len(rest), -1, -1):
        key = (kind, *rest[:known], *[None] * (len(rest) - known))
        if key in mapping:
            return mapping[key]
    return None


def fits(name: str, where: tuple[Any, ...], heads: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a model has what one of an edit's `items` names. heads: kind -> (layers, heads)"""
    if not where:
        return True
    if where[0] not in heads:
        return False
    layer, head = (*where[3:], None, None)[:2] if name == "blocked" else (*where[1:], None, None)[:2]
    layers, count = heads[where[0]]
    return (layer is None or layer < layers) and (head is None or head < count)


UNCHANGED = Edits()
