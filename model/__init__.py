"""Headlight's computing side: open a model, trace a sentence, read every number of that forward pass.

lens = model.load("en-fr")
trace = lens.trace("The red car stopped.")
trace.attentions["cross"].weights(layer=2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from model.capture.watched_run import WatchedRun
    from model.catalog.entries import Progress
    from model.trace.attention import Attention
    from model.trace.check import Check
    from model.trace.edits import Edits
    from model.trace.lens import Lens
    from model.trace.trace import Trace

__all__ = ["Attention", "Check", "Edits", "Trace", "load", "watch", "wrap"]

_LAZY_IMPORTS = {
    "Attention": "model.maps.given_weights",  # with the layers that `Attention.from_arrays` makes
    "Check": "model.trace.check",
    "Edits": "model.trace.edits",
    "Trace": "model.trace.trace",
}
_LAZY_MODULES = ("findings", "lab")


def load(name: str, device: str = "auto", progress: Progress | None = None, *, dtype: str = "float32") -> Lens:
    """An opened model, ready to trace: downloaded first if needed, or on the server that $HEADLIGHT_BACKEND names.

    Args:
        name: a catalog id, a Hugging Face hub name, or a folder written by `model.training` or by
            Hugging Face's `save_pretrained`.
        device: "auto" (CUDA, then MPS, then CPU) or a PyTorch device name; also one of
            `model.attention.devices.device_choices`.
        progress: called with the fraction done, 0 to 1, and a description while files are downloaded.
        dtype: the number format to compute in: "float32", or "bfloat16" or "float16" for half the memory, faster on a
            GPU; `Trace.verify` then allows that format's rounding errors.

    Raises:
        ModelError: the model does not exist, cannot be reached, does not fit into memory, is no transformer, or was
            damaged since it was fetched ("damaged": the next call fetches it again).
        ValueError: the device or number format does not exist.
    """
    # Imported here: with a server no PyTorch is needed, and the frame of the pages can be drawn before it is imported.
    from model.catalog.downloads.record import damage_or
    from model.catalog.opening import load_in_process
    from model.errors import ModelError
    from model.remote.client import RemoteModel
    from model.remote.transport import backend_address

    name, address = str(name), backend_address()
    if address:
        return RemoteModel(address, name)
    try:
        return load_in_process(name, device, progress, dtype=dtype)
    except ModelError as error:
        if (told := damage_or(name, error)) is error:
            raise
        raise told from error


def wrap(module: Any, tokenizer: Any) -> Lens:
    """A Hugging Face model object that is already in memory, ready to trace on the device that it is on.

    The object itself is used, no copy: it is put into evaluation mode, and its attention runs through
    `model.attention.formula.attention` from then on, equal to the library's own within rounding.

    Args:
        module: a `transformers.PreTrainedModel`.
        tokenizer: what prepares its input: a tokenizer, an image processor for a model that reads pictures, or a
            processor such as `WhisperProcessor` for one that hears.

    Raises:
        ModelError: it is no transformer whose attention can be shown, or its weights hold NaN or infinite numbers.
    """
    from model.catalog.opening import wrap_module

    return wrap_module(module, tokenizer)


def watch(module: Any, tokens: Any = None) -> AbstractContextManager[WatchedRun]:
    """A block in which the attention of any model in memory is recorded, as `run.attentions` returns it.

    with model.watch(module) as run:
        module(batch)
    run.attentions["encoder"].weights(layer=0)

    Seen are `F.scaled_dot_product_attention`, `nn.MultiheadAttention` and what is made of it, Keras's
    `MultiHeadAttention` and `GroupedQueryAttention`, and a softmax over the keys whose result is multiplied with the
    values; of the last the weights alone. The module computes what it computes without: outputs are equal, or equal
    within rounding where PyTorch would take its fused fast path. Under autocast on the CPU that path rounds more than
    the watched pass, by a few hundredths in bfloat16; `run.notes` says so. Padded places of `nn.TransformerEncoder`,
    which it sets to 0, are the exception.

    Args:
        module: a `torch.nn.Module`, or a layer or model of Keras 3. Calls in this thread are recorded.
        tokens: names of its tokens; a list, a list for each item of the batch, or either of them by "encoder" and
            "decoder". None is positions.

    Raises:
        TypeError, ValueError: `module` or `tokens` is none of these.
    """
    from model.capture.watch import watch_module

    return watch_module(module, tokens)


def __getattr__(name: str) -> Any:
    """A result type or a room of the public surface, imported on first access so that `import model` stays fast."""
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"model.{name}")
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    return getattr(import_module(_LAZY_IMPORTS[name]), name)
