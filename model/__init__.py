"""Headlight's model side: open a model, trace a sentence, read every number of that pass.

lens = model.load("en-fr")
trace = lens.trace("The red car stopped.")
trace.attentions["cross"].weights(layer=2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.catalog.entries import Progress
    from model.trace.attention import Attention
    from model.trace.check import Check
    from model.trace.edits import Edits
    from model.trace.lens import Lens
    from model.trace.trace import Trace

__all__ = ["Attention", "Check", "Edits", "Trace", "load"]

_HOMES = {
    "Attention": "model.trace.attention",
    "Check": "model.trace.check",
    "Edits": "model.trace.edits",
    "Trace": "model.trace.trace",
}


def load(name: str, device: str = "auto", progress: Progress | None = None, *, dtype: str = "float32") -> Lens:
    """An opened model, ready to trace; fetched first where it is not here, or asked of $HEADLIGHT_BACKEND.

    Args:
        name: a catalog id, a Hugging Face hub name, or a folder written by `model.translator.training` or by
            Hugging Face's `save_pretrained`.
        device: "auto" (CUDA, then MPS, then CPU) or a PyTorch device name; also one of
            `model.attention.devices.places`.
        progress: called with the share done and a description while files are downloaded.
        dtype: the number format to compute in: "float32", or "bfloat16" or "float16" for half the memory, faster on a
            GPU; `Trace.verify` then allows what that format rounds away.

    Raises:
        ModelError: there is no such model, it cannot be reached, it does not fit into memory, or it is no transformer.
        ValueError: no such device or number format.
    """
    # Imported here: whoever uses a server needs no PyTorch, and the pages' frame can show before it is imported.
    from model.catalog.opening import load_here
    from model.remote.client import RemoteModel
    from model.remote.transport import backend

    name, address = str(name), backend()
    return RemoteModel(address, name) if address else load_here(name, device, progress, dtype=dtype)


def __getattr__(name: str) -> Any:
    """Result types are imported when they are used, so that `import model` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
