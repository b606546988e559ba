"""The one door to what a pass can be taken apart into."""

from __future__ import annotations

from typing import Any

from model.decomposition.credit import credit
from model.decomposition.match import split_match
from model.decomposition.model_parts import ModelPass
from model.decomposition.residual_stream import read_stack
from model.errors import InputError
from model.trace.decomposition import Credit, Split
from model.trace.stack import Stack
from model.trace.stack_summary import StackSummary, summarize


def _summary(given: ModelPass, stack: str) -> StackSummary:
    """What a picture of a stack needs."""
    return summarize(read_stack(given, stack))


def take_apart(given: ModelPass, what: str, *arguments: Any) -> Stack | StackSummary | Credit | Split:
    """A `Stack` ("blocks"), its summary, a `Credit` or a `Split` ("why"), as the methods of `Trace` describe them.

    Raises:
        InputError: the model's layers cannot be watched.
    """
    compute: Any = {"blocks": read_stack, "summary": _summary, "credit": credit, "why": split_match}[what]
    try:
        found: Stack | StackSummary | Credit | Split = compute(given, *arguments)
    except InputError:
        raise
    except (ValueError, RuntimeError, AssertionError, KeyError, StopIteration, TypeError) as error:
        raise InputError("no_blocks", "The layers of this model cannot be watched one by one.") from error
    return found
