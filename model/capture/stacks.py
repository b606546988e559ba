"""The attention calls of a pass put together: layers of one kind, in stacks of equal heads and tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from model.capture.module_path import layer_numbers, stack_of
from model.capture.token_names import TokenNames
from model.capture.watched_call import WatchedCall
from model.trace.attention import Attention
from model.trace.recorded_layer import RecordedLayer

Layer = tuple[WatchedCall, RecordedLayer]
Stack = tuple[str, str, tuple[int, int, int], bool]  # kind, path, (heads, queries, keys), whether vectors are known


class StackAttentions(dict[str, Attention]):
    """Attentions by kind; a kind that is missing gets a sentence that names those that are there."""

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"There is no attention {name!r} here; there is {', '.join(map(repr, self))}.")


def attentions_of(calls: Sequence[WatchedCall], item: int, tokens: TokenNames) -> StackAttentions:
    """Attentions by kind, and by the path of their modules where a kind has several stacks.

    Args:
        calls: of one pass; item: place in the batch; tokens: names of tokens.

    Raises:
        IndexError: a call has no such item.
        ValueError: the names do not fit.
    """
    stacks: dict[Stack, list[Layer]] = {}
    for call in calls:
        layer = call.layer(item)
        stack = (call.kind, stack_of(call.path) or call.module_type, layer.shape[:3], call.has_vectors)
        stacks.setdefault(stack, []).append((call, layer))
    found = StackAttentions()
    names = _names(list(stacks))
    counts = {n for stack, layers in stacks.items() for n in (stack[2][1], stack[2][2] - len(layers[0][0].extra_keys))}
    tokens.check(counts, item)
    for name, (stack, layers) in zip(names, stacks.items(), strict=True):
        kind, _, (heads, queries, keys), _ = stack
        query_tokens, key_tokens = tokens.sides(kind, queries, keys, layers[0][0].extra_keys, item)
        recorded = tuple(layer for _, layer in layers)
        index = layer_numbers([call.path for call, _ in layers])
        found[name] = Attention(kind, query_tokens, key_tokens, heads, recorded[0].shape[3], recorded, index)
    return found


def _names(stacks: Sequence[Stack]) -> list[str]:
    """A name for each stack: its kind, then what tells it from the others of its kind."""
    names = [kind for kind, *_ in stacks]
    details = (
        lambda stack: stack[1],
        lambda stack: "{1} queries, {2} keys".format(*stack[2]),
        lambda stack: f"{stack[2][0]} heads",
        lambda stack: "vectors" if stack[3] else "weights",
    )
    for detail in details:
        counts = Counter(names)
        if detail is details[0]:  # all stacks of a kind get their path, or none does
            counts = Counter(kind for kind, *_ in stacks)
        names = [
            f"{name} {detail(stack)}" if counts[name] > 1 else name for name, stack in zip(names, stacks, strict=True)
        ]
    return names
