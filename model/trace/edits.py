"""Changes to a forward pass that a user asks for, and their short text form."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote

from model.trace.boxes.stack import PART_KINDS

Sizes = Mapping[str, tuple[int, int]]
LayerIndex = Mapping[str, Sequence[int]]
ALL: LayerIndex = MappingProxyType({})  # all layers have attention
Boxes = Mapping[str, Sequence[Sequence[str]]]  # stack -> the kinds of the boxes of each layer
Head = tuple[str, int | None, int | None]  # kind, layer, head; None stands for all
Cell = tuple[str, int | None, int] | tuple[str, int | None, int, int]  # kind, query or None for all, key[, layer]
BlockPlace = tuple[str, int | None, str]  # stack, layer or None for all, kind of box

KINDS = ("encoder", "decoder", "cross", "time", "space")
STACKS = ("encoder", "decoder")
POSITION_MODES = ("own", "off", "shuffled")
# How many parts a place of each kind of edit has, the attention kind included.
PLACE_LENGTHS = {"heads": (3,), "blocked": (3, 4), "allowed": (3, 4), "masks": (2,), "temperature": (1,)}
PLACE_LENGTHS |= {"uniform": (3,), "patched": (3,), "blocks": (3,)}
CELL_FIELDS = ("blocked", "allowed")
# Of a text: a model does not have more to change, and for each sentence that patterns come from it runs once more.
MAX_EDITS, MAX_SENTENCES = 1_000, 10
MAX_NAME = max(map(len, PART_KINDS))  # letters of a name in a place
_MASK_SHAPE = re.compile(r"full|causal|(?:window|block)[1-9]\d{0,3}")


@dataclass(frozen=True)
class Edits:
    """Changes to a forward pass; `Edits()` changes nothing and gives bit-equal results. Hashable, equal by value.

    In a place (kind, layer, head) None stands for all; of several places that apply, the most specific one counts.
    Layers have their numbers in the model, as in `Attention.layer_index`: in a hybrid some have no attention.

    Attributes:
        heads: (kind, layer, head) -> factor on the head's output before W_O; 0 silences it, 1 changes nothing.
        blocked: (kind, query, key) or (kind, query, key, layer): cells that are masked; query None is every query.
        allowed: cells named likewise that are not masked, whatever the model's own mask or `masks` says; padding stays
            masked. Where a cell is equally specifically blocked and allowed, it is blocked.
        masks: (kind, layer) -> "full" (only padding is forbidden), "causal", "window5" (up to 5 tokens away, within
            the model's own mask) or "block4" (only within runs of 4 tokens, within the model's own mask).
        temperature: kind -> divisor of the scores before the softmax.
        uniform: (kind, layer, head) whose weights are equal on all keys that the mask allows.
        patched: (kind, layer, head) -> (text, target): the head gets its weights of that text instead of its own.
        blocks: (stack, layer, kind) of boxes that add nothing to the residual stream, or of their norms that are left
            out: "encoder" or "decoder", the layer's number among all layers of its stack, and one of
            `model.trace.boxes.stack.PART_KINDS`.
        positions: "own"; "off", every token gets position 0; or "shuffled", positions are permuted in blocks of 8.

    Raises:
        ValueError: a place, a mask or a number is none of these; the message names it.
    """

    heads: Mapping[Head, float] = field(default_factory=dict)
    blocked: Collection[Cell] = frozenset()
    allowed: Collection[Cell] = frozenset()
    masks: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    temperature: Mapping[str, float] = field(default_factory=dict)
    uniform: Collection[Head] = frozenset()
    patched: Mapping[Head, tuple[str, str | None]] = field(default_factory=dict)
    blocks: Collection[BlockPlace] = frozenset()
    positions: str = "own"

    def __post_init__(self) -> None:
        for field_ in fields(self):
            value: Any = getattr(self, field_.name)
            if field_.name in PLACE_LENGTHS:
                if isinstance(value, Mapping):
                    value = MappingProxyType({_checked_place(field_.name, place): v for place, v in value.items()})
                else:
                    value = frozenset(_checked_place(field_.name, place) for place in value)
                object.__setattr__(self, field_.name, value)
        for name, low, high in (("heads", -1e6, 1e6), ("temperature", 1e-6, 1e6)):
            # Adding 0 turns -0.0 into 0.0, so that equal edits have equal texts.
            numbers = {place: float(value) + 0.0 for place, value in getattr(self, name).items()}
            for place, number in numbers.items():
                if not low <= number <= high:
                    raise ValueError(f"{name} at {place} is {number}, expected a number from {low:g} to {high:g}")
            object.__setattr__(self, name, MappingProxyType(numbers))
        for place, shape in self.masks.items():
            if not _MASK_SHAPE.fullmatch(shape):
                raise ValueError(f"The mask of {place} is {shape!r}, expected full, causal, window5 or block4")
        if self.positions not in POSITION_MODES:
            raise ValueError(f"positions is {self.positions!r}, expected one of {POSITION_MODES}")

    def __hash__(self) -> int:
        return hash(self.text())

    def __bool__(self) -> bool:
        """False for edits that change nothing."""
        return self != UNCHANGED

    def __reduce__(self) -> tuple[Any, ...]:
        return Edits.parse, (self.text(),)

    def items(self) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
        """Each single change: name of the field, place, and value; the value is None in fields that are sets."""
        for field_ in fields(self):
            value = getattr(self, field_.name)
            if isinstance(value, str):
                if value != field_.default:
                    yield field_.name, (), value
                continue
            for key in sorted(value, key=repr):
                place = key if isinstance(key, tuple) else (key,)
                yield field_.name, place, None if isinstance(value, frozenset) else value[key]

    def without(self, name: str, place: tuple[Any, ...]) -> Edits:
        """The same edits without one that `items` yields."""
        value: Any = getattr(self, name)
        key = place[0] if name == "temperature" else place
        if isinstance(value, str):
            remaining: Any = "own"
        elif isinstance(value, frozenset):
            remaining = value - {key}
        else:
            remaining = {k: v for k, v in value.items() if k != key}
        changed: dict[str, Any] = {name: remaining}
        return replace(self, **changed)

    def leaves_out(self, stack: str, layer: int, kind: str) -> bool:
        """Whether a box is to add nothing. Arguments as in `blocks`."""
        return any((stack, at, kind) in self.blocks for at in (layer, None))

    def supported_by(self, heads: Sizes, boxes: Boxes | None = None, layer_index: LayerIndex = ALL) -> Edits:
        """The same edits without those that name what a model does not have.

        Args:
            heads: the model's attention kinds -> (layers, heads).
            boxes: stack -> the kinds of the boxes of each layer that can be left out; None for none.
            layer_index: kind -> the layer of the model that each layer with attention is, where not all have some.
        """
        kept: dict[str, Any] = {}
        for field_ in fields(self):
            value: Any = getattr(self, field_.name)
            if isinstance(value, str):
                continue
            name = field_.name
            tuples = [(key, key if isinstance(key, tuple) else (key,)) for key in value]
            places = [key for key, place in tuples if is_supported(name, place, heads, boxes, layer_index)]
            if len(places) < len(value):
                kept[name] = frozenset(places) if isinstance(value, frozenset) else {key: value[key] for key in places}
        return replace(self, **kept) if kept else self

    def cells(self, kind: str, layer: int) -> list[tuple[int | None, int, bool]]:
        """The cells (query, key, allowed) that the edits set in one layer, in the order in which they are applied.

        A query of None is every query. More specific cells come later, blocked after equally specific allowed ones.
        """
        found = [
            (query is not None, bool(only), not allowed, query, key)
            for allowed, cells in ((False, self.blocked), (True, self.allowed))
            for cell_kind, query, key, *only in cells
            if cell_kind == kind and only in ([], [layer])
        ]
        return [(query, key, not blocked) for *_, blocked, query, key in sorted(found, key=lambda cell: cell[:3])]

    def with_cell(self, kind: str, query: int, key: int, allowed: bool) -> Edits:
        """The same edits with one cell allowed or forbidden in every layer; undoes an earlier change if that does it.

        Args:
            allowed: whether the query may look at the key from now on; it is the opposite of what holds now.
        """
        opposite = (kind, query, key) in (self.blocked if allowed else self.allowed)
        blocked, opened = (
            frozenset(cell for cell in cells if cell[:3] != (kind, query, key))
            for cells in (self.blocked, self.allowed)
        )
        rest = replace(self, blocked=blocked, allowed=opened)
        others = [cell for cell in (*blocked, *opened) if cell[0] == kind and cell[1] is None]
        if opposite and not others and all(place[0] != kind for place in self.masks):
            return rest  # the model's own mask says it again
        cell = (kind, query, key)
        return replace(rest, allowed={*opened, cell}) if allowed else replace(rest, blocked={*blocked, cell})

    def text(self) -> str:
        """The edits as a short text for links, which `parse` reads: `heads:cross.2.5=0.0;blocked:encoder.*.3`."""
        parts = []
        for name, place, value in self.items():
            path = ".".join("*" if number is None else str(number) for number in place)
            if isinstance(value, tuple):
                value = "|".join("" if text is None else "'" + quote(text, safe="") for text in value)
            parts.append(f"{name}{':' if place else ''}{path}{'' if value is None else f'={value}'}")
        return ";".join(parts)

    @classmethod
    def parse(cls, text: str) -> Edits:
        """The edits whose short text, as `text` returns it, is given.

        Raises:
            ValueError: a part of the text is no edit, and the message names it; or there are more than `MAX_EDITS`, or
                patterns of more than `MAX_SENTENCES` sentences.
        """
        if text.count(";") >= MAX_EDITS:
            raise ValueError(f"There are more than {MAX_EDITS:,} changes")
        sets = (*CELL_FIELDS, "uniform", "blocks")
        parsed: dict[str, Any] = {field_.name: set() if field_.name in sets else {} for field_ in fields(cls)}
        parsed["positions"] = "own"
        for part in filter(None, text.split(";")):
            left, _, value = part.partition("=")
            name, _, path = left.partition(":")
            try:
                place = tuple(_parsed_part(one) for one in path.split(".") if one)
                if name != "positions":
                    _checked_place(name, place)
                elif place:
                    raise ValueError(path)
                if name in sets:
                    parsed[name].add(place)
                elif name == "positions":
                    parsed[name] = value
                elif name == "temperature":
                    parsed[name][place[0]] = float(value)
                elif name == "patched":
                    first, second = (unquote(t[1:]) if t else None for t in value.split("|"))
                    parsed[name][place] = (first or "", second)
                else:
                    parsed[name][place] = float(value) if name == "heads" else value
            except (ValueError, KeyError) as error:
                shown = part if len(part) <= 60 else f"{part[:60]}…"
                raise ValueError(f"{shown!r} is no edit that Headlight knows") from error
        if len(set(parsed["patched"].values())) > MAX_SENTENCES:
            raise ValueError(f"There are patterns of more than {MAX_SENTENCES} sentences")
        return cls(**parsed)


def _parsed_part(text: str) -> str | int | None:
    """One part of a place: a name, a number, or None for all; raises ValueError where it is none of these."""
    if text == "*":
        return None
    if len(text) > (9 if text[0].isdigit() else MAX_NAME):
        raise ValueError(text[:20])
    return int(text) if not text.replace("_", "").isalpha() else text


def _checked_block(place: Any) -> BlockPlace:
    """A box that an edit names, with a plain int; raises ValueError where there is no such box."""
    fine = isinstance(place, tuple) and len(place) == 3 and place[0] in STACKS and place[2] in PART_KINDS
    layer = place[1] if fine else 0
    if not fine or not (layer is None or (isinstance(layer, Integral) and int(layer) >= 0)):
        raise ValueError(f"blocks names {place}: expected one of {STACKS}, a number from 0 on and one of {PART_KINDS}")
    return str(place[0]), None if layer is None else int(layer), str(place[2])


def _checked_place(name: str, place: Any) -> Any:
    """A place that an edit names, with plain ints; raises ValueError where that field has no such place."""
    if name == "blocks":
        return _checked_block(place)
    kind, *numbers = (place,) if isinstance(place, str) else place
    fine = kind in KINDS and 1 + len(numbers) in PLACE_LENGTHS[name]
    fine &= all(n is None or (isinstance(n, Integral) and int(n) >= 0) for n in numbers)
    if not fine or (name in CELL_FIELDS and numbers[1] is None):
        raise ValueError(
            f"{name} names {place}: expected one of {KINDS} and {PLACE_LENGTHS[name][-1] - 1} numbers from 0 on"
        )
    plain = [None if n is None else int(n) for n in numbers]
    if name in CELL_FIELDS and plain[2:] == [None]:
        plain = plain[:2]
    return kind if name == "temperature" else (kind, *plain)


def most_specific(mapping: Mapping[Any, Any], kind: str, *numbers: Any) -> Any:
    """The value of the most specific key that covers a place, where None in a key stands for all; None if none does."""
    for known in range(len(numbers), -1, -1):
        key = (kind, *numbers[:known], *[None] * (len(numbers) - known))
        if key in mapping:
            return mapping[key]
    return None


def is_supported(
    name: str, place: tuple[Any, ...], heads: Sizes, boxes: Boxes | None = None, layer_index: LayerIndex = ALL
) -> bool:
    """True where a model has the kind, layer and head, or the box, that an edit names.

    Args:
        name, place: as `Edits.items` yields them; heads, boxes, layer_index: as in `Edits.supported_by`.
    """
    if not place:
        return True
    if name == "blocks":
        kinds = (boxes or {}).get(place[0], ())
        return any(place[2] in found for at, found in enumerate(kinds) if place[1] in (None, at))
    if place[0] not in heads:
        return False
    layer, head = (*place[3:], None, None)[:2] if name in CELL_FIELDS else (*place[1:], None, None)[:2]
    layers, count = heads[place[0]]
    numbers = layer_index.get(place[0]) or range(layers)
    return (layer is None or layer in numbers) and (head is None or head < count)


UNCHANGED = Edits()
