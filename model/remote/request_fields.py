"""What a request to the server may want, and the bounds of each of its fields; checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from model.errors import ModelError
from model.trace.check import PROBED
from model.trace.decoding import METHODS
from model.trace.edits import KINDS

Check = Callable[[object], bool]

MAX_LETTERS = 200_000  # of a text
MAX_TEXTS = 16  # of a batch
MAX_BATCH_LETTERS = 20_000  # of a batch of more than the two texts that a page compares
MAX_IDS = 20_000
MAX_POSITION = 1_000_000
MAX_BEAMS, MAX_NEW_TOKENS = 16, 1_000
MAX_SIDE = 4_096  # cells of a side of a pooled map
MEASURES = ("head_similarity", "head_inner_products", "attention_with_residual", "rollout")


def refuse(message: str) -> ModelError:
    """The error of a request that is not answered. message: a sentence"""
    return ModelError("backend_request", message)


def _text(most: int) -> Check:
    return lambda value: isinstance(value, str) and len(value) <= most


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float) -> Check:
    def holds(value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return low <= value <= high  # also False for NaN

    return holds


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _one_of(*options: str) -> Check:
    return lambda value: isinstance(value, str) and value in options


def _items(check: Check, low: int, high: int) -> Check:
    return lambda value: isinstance(value, list) and low <= len(value) <= high and all(map(check, value))


def _each_once(check: Check) -> Check:
    """Also each position once: a short message must not ask for a map that is larger than the run's own."""
    return lambda value: check(value) and isinstance(value, list) and len(set(value)) == len(value)


def _words(value: object) -> bool:
    """Whether it is the positions of each word, of which no two share one."""
    parts = _items(_items(_whole(0, MAX_POSITION), 1, MAX_IDS), 0, MAX_IDS)
    return parts(value) and isinstance(value, list) and _POSITIONS([place for word in value for place in word])


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _fields(checks: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and set(required) <= set(value) <= set(checks)
        and all(checks[name](one) for name, one in value.items())
    )


_POSITIONS = _each_once(_items(_whole(0, MAX_POSITION), 0, MAX_IDS))
_TYPED = {"text": _text(MAX_LETTERS), "pair": _or_none(_text(MAX_LETTERS)), "chat": _flag, "marks": _flag}
_TYPED |= dict.fromkeys(("source_language", "target_language"), _or_none(_text(100)))
_HOW_READ = _fields(_TYPED, required=("text",))
_SPOKEN = {"sound": _text(100), "source_language": _or_none(_text(100)), "task": _or_none(_text(100))}
_HOW_HEARD = _fields(_SPOKEN, required=("sound",))
_IDS = _items(_whole(0, 2**31), 0, MAX_IDS)
_HOW = _fields(
    {
        "method": _one_of(*METHODS),
        "temperature": _number(1e-3, 1e3),
        "top_k": _whole(0, 10_000_000),
        "top_p": _number(1e-6, 1),
        "seed": _whole(0, 2**63 - 1),
        "beams": _whole(1, MAX_BEAMS),
        "max_new_tokens": _whole(1, MAX_NEW_TOKENS),
    }
)


def _is_input(value: object) -> bool:
    """Whether it is a text, the checksum of a picture, or the fields of a `TypedText` or `SpokenSound`."""
    return _TYPED["text"](value) or _HOW_READ(value) or _HOW_HEARD(value)


def _is_target(value: object) -> bool:
    return value is None or _TYPED["text"](value) or _IDS(value)


FIELDS: Mapping[str, Check] = {
    "wire": _whole(0, 1_000_000),
    "model": _text(1_000),
    "want": _text(100),
    "text": _is_input,
    "texts": _items(_is_input, 1, MAX_TEXTS),
    "target": _is_target,
    "targets": _items(_is_target, 1, MAX_TEXTS),
    "edits": _text(20_000),
    "row": _whole(0, MAX_TEXTS - 1),
    "how": _HOW,
    "ids": _IDS,
    "together": _flag,
    "position": _whole(0, MAX_POSITION),
    "token": _whole(0, 2**31 - 1),
    "against": _or_none(_whole(0, 2**31 - 1)),
    "query": _whole(0, MAX_POSITION),
    "key": _whole(0, MAX_POSITION),
    "stack": _one_of("encoder", "decoder"),
    "rows": _items(_whole(0, MAX_POSITION), 2, 2),
    "kind": _one_of(*KINDS),
    "layer": _whole(0, 10_000),
    "words": _items(_words, 2, 2),
    "selection": _fields(
        {"heads": _items(_whole(0, 10_000), 2, 2), "queries": _POSITIONS}, required=("heads", "queries")
    ),
    "measure": _one_of(*MEASURES),
    "arguments": _items(_whole(0, MAX_POSITION), 0, 4),
    "head": _or_none(_whole(0, 10_000)),
    "queries": _POSITIONS,
    "keys": _POSITIONS,
    "shape": _items(_whole(1, MAX_SIDE), 2, 2),
    "count": _whole(1, 1_000_000),
    "side": _whole(1, MAX_SIDE),
    "masked": _flag,
    "names": _items(_one_of(*PROBED), 1, len(PROBED)),
}
# What a pass is taken apart into -> the fields that say which, in the order of `Trace`'s methods.
APART: Mapping[str, tuple[str, ...]] = {
    "summaries": (),
    "blocks": ("stack",),
    "credit": ("position", "token", "against"),
    "why": ("kind", "layer", "head", "query", "key"),
}
_RUN, _LAYER = {"texts", "targets", "edits", "row"}, {"kind", "layer"}
_ONE = {"text", "edits"}
# What can be wanted -> the fields that it needs; every request also has "wire", "model" and "want".
WANTS: Mapping[str, set[str]] = (
    {want: _RUN | {*fields} for want, fields in APART.items()}
    | {
        "facts": set(),
        "boxes": set(),
        "positions": {"stack"},
        "labels": {"ids", "together"},
        "decode": _ONE | {"how"},
        "guess": _ONE | {"position"},
        "logit_lens": _ONE | {"target"},
        "effects": _ONE | {"target"},
        "trace": _RUN,
        "check": _RUN,
        "probe": _RUN | {"names", "position"},
        "states": _RUN | {"stack"},
        "neurons": _RUN | {"stack"},
        "logits": _RUN | {"rows"},
        "layer": _RUN | _LAYER,
        "across_layers": _RUN | _LAYER | {"measure", "arguments"},
        "weights": _RUN | _LAYER,
        "pooled": _RUN | _LAYER | {"head", "queries", "keys", "shape"},
        "strongest": _RUN | _LAYER | {"head", "queries", "keys", "count"},
        "overview": _RUN | _LAYER | {"side"},
        "scores": _RUN | _LAYER | {"masked"},
    }
    | dict.fromkeys(("query", "key", "value", "bias", "allowed", "sinks"), _RUN | _LAYER)
)
ALWAYS, OF_LAYERS = {"wire", "model", "want"}, {"words", "selection"}


def check_request(request: Mapping[str, Any]) -> None:
    """Raise an error where a request wants what there is not, lacks a field, or has one that is out of its bounds.

    Raises:
        ModelError: names the field ("backend_request").
    """
    want = request.get("want")
    if not isinstance(want, str) or want not in WANTS:
        raise refuse("The request wants something that this server does not give.")
    needed = ALWAYS | WANTS[want]
    allowed = needed | (OF_LAYERS if "layer" in needed and want not in APART else set())
    for name in sorted(needed - set(request)):
        raise refuse(f"The request lacks {name!r}.")
    for name in request:
        if name not in allowed:
            raise refuse(f"The request has a field too many, {name[:100]!r}.")
        if not FIELDS[name](request[name]):
            raise refuse(f"The field {name!r} of the request is not of the kind or size that is taken here.")
    if "texts" in request and not (len(request["targets"]) == len(request["texts"]) > request["row"]):
        raise refuse("The request must have as many targets as texts, and a row among them.")
    if len(request.get("texts", ())) > 2 and sum(map(_letters, request["texts"])) > MAX_BATCH_LETTERS:
        raise refuse(f"The texts of the request have more than {MAX_BATCH_LETTERS} letters: send them one by one.")


def _letters(given: str | dict[str, Any]) -> int:
    return len(given) if isinstance(given, str) else len(given["text"]) + len(given.get("pair") or "")
