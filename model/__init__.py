"""Headlight's model side: open a model, trace a sentence, read every number of that pass.

lens = model.load("en-fr")
trace = lens.trace("The red car stopped.")
trace.attentions["cross"].weights(layer=2)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.catalog import load
    from model.edits import Edits
    from model.trace import Attention, Check, Trace

__all__ = ["Attention", "Check", "Edits", "Trace", "load"]

_HOMES = {"load": "catalog", "Edits": "edits", "Attention": "trace", "Check": "trace", "Trace": "trace"}


def __getattr__(name: str) -> Any:
    """Names are looked up when they are used: `python -m model.catalog` must not import itself twice."""
    if name not in _HOMES:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"model.{_HOMES[name]}"), name)
