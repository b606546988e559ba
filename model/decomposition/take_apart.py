"""The one door to what a pass can be taken apart into."""

from __future__ import annotations

from typing import Any, TypeAlias

from model.arrays.types import Array
from model.decomposition.credit import credit
from model.decomposition.match import split_match
from model.decomposition.model_parts import ModelPass
from model.decomposition.residual_stream import neuron_rows, read_stack, read_stacks
from model.errors import InputError
from model.trace.boxes.decomposition import Credit, Split
from model.trace.boxes.stack import Stack, all_neurons
from model.trace.boxes.stack_summary import StackSummaries, summarize

# What reading a model raises whose layers are built in a way of their own.
UNWATCHABLE = (
    *(ValueError, RuntimeError, AssertionError, LookupError),
    *(StopIteration, TypeError, AttributeError),
)
Found: TypeAlias = Stack | StackSummaries | Credit | Split | Array | dict[int, int]


def _summaries(given: ModelPass) -> StackSummaries:
    """What a picture of the model needs."""
    readings = read_stacks(given, dict.fromkeys(given.stacks))
    return StackSummaries(**{stack: summarize(reading.stack) for stack, reading in readings.items()})


def _neurons(given: ModelPass, stack: str) -> Array:
    """The neurons of all feed-forward layers of a stack. [layer, token, d_ff]

    Raises:
        InputError: it has none, or not equally many.
    """
    found = all_neurons(read_stack(given, stack).layers)
    if found is None:
        raise InputError("no_blocks", "This stack has no feed-forward layers, or they are not equally wide.")
    return found


def take_apart(given: ModelPass, what: str, *arguments: Any) -> Found:
    """A `Stack` ("blocks"), its neurons, the summaries of all, a `Credit` or a `Split` ("why"); see `Trace`'s methods.

    "neuron_rows" says which runs of the stack's layers the neurons belong to.

    Raises:
        InputError: the model's layers cannot be watched.
    """
    ways: Any = {"blocks": read_stack, "neurons": _neurons, "credit": credit, "why": split_match}
    compute = (ways | {"summaries": _summaries, "neuron_rows": neuron_rows})[what]
    try:
        found: Found = compute(given, *arguments)
    except InputError:
        raise
    except UNWATCHABLE as error:
        raise InputError("no_blocks", "The layers of this model cannot be watched one by one.") from error
    return found
