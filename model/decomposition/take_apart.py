"""The one door to what a pass can be taken apart into."""

from __future__ import annotations

from typing import Any

from model.arrays.types import Array
from model.decomposition.credit import credit
from model.decomposition.match import split_match
from model.decomposition.model_parts import ModelPass
from model.decomposition.residual_stream import read_stack
from model.errors import InputError
from model.trace.decomposition import Credit, Split
from model.trace.stack import Stack, all_neurons
from model.trace.stack_summary import StackSummary, summarize


def _summary(given: ModelPass, stack: str) -> StackSummary:
    """What a picture of a stack needs."""
    return summarize(read_stack(given, stack))


def _neurons(given: ModelPass, stack: str) -> Array:
    """The neurons of all feed-forward layers of a stack. [layer, token, d_ff]

    Raises:
        InputError: it has none, or not equally many.
    """
    found = all_neurons(read_stack(given, stack).layers)
    if found is None:
        raise InputError("no_blocks", "This stack has no feed-forward layers, or they are not equally wide.")
    return found


def take_apart(given: ModelPass, what: str, *arguments: Any) -> Stack | StackSummary | Credit | Split | Array:
    """A `Stack` ("blocks"), its summary or neurons, a `Credit` or a `Split` ("why"); see the methods of `Trace`.

    Raises:
        InputError: the model's layers cannot be watched.
    """
    ways: Any = {"blocks": read_stack, "summary": _summary, "neurons": _neurons, "credit": credit, "why": split_match}
    compute = ways[what]
    try:
        found: Stack | StackSummary | Credit | Split | Array = compute(given, *arguments)
    except InputError:
        raise
    except (ValueError, RuntimeError, AssertionError, KeyError, StopIteration, TypeError) as error:
        raise InputError("no_blocks", "The layers of this model cannot be watched one by one.") from error
    return found
