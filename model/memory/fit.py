"""Whether a model fits into memory: the bytes it needs, the bytes that are free, and the refusal."""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from model.errors import ModelError
from model.memory.gguf_header import gguf_file, gguf_parameters
from model.memory.weight_headers import is_regular, tensor_shapes
from model.settings.settings import current


def needed_memory(folder: Path) -> int:
    """Bytes of a model's parameters in float32.

    Counted from the shapes in the headers of its safetensors files or its GGUF file; else the size of its pickled
    weights.

    Args:
        folder: with the model's files, or a GGUF file.

    Raises:
        ModelError: a file of weights is no regular file, or its header is damaged ("not_transformer").
    """
    if file := gguf_file(folder):
        return 4 * gguf_parameters(file)
    total = 0
    for file in folder.glob("*.safetensors"):
        total += sum(4 * math.prod(shape) for shape in tensor_shapes(file))
    return total or sum(file.stat().st_size for file in folder.glob("*.bin") if is_regular(file))


def format_bytes(size: float) -> str:
    """A number of bytes as text for people: "30 MB", "1.5 GB", "7 TB"; "more than 1000 TB" for what no machine has."""
    if not size < 1e15:  # infinite numbers, and what is no number, too
        return "more than 1000 TB"
    if size >= 1e12:
        return f"{size / 1e12:.0f} TB"
    return f"{max(size / 1e6, 1):.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def check_model_allowed(name: str, needed: float) -> None:
    """Raise an error where a model is larger than the settings of this server allow.

    Args:
        name: for the message; needed: bytes of its parameters in float32.

    Raises:
        ModelError: "too_large"; the message has both numbers.
    """
    largest = current().largest_model
    if largest is not None and needed > largest:
        raise ModelError(
            "too_large",
            f"{name} needs {format_bytes(needed)} of memory; this server opens models of up to "
            f"{format_bytes(largest)}.",
        )


def check_memory_fits(name: str, folder: Path, taken: float = 0) -> None:
    """Raise an error where a model does not fit into the free memory, before anything of it is loaded.

    Args:
        name: for the message; folder: with the model's files.
        taken: bytes of the free memory that others are about to take.

    Raises:
        ModelError: it needs more than 90 % of the free memory ("memory"), or more than this server allows
            ("too_large").
    """
    needed, free = needed_memory(folder), max(psutil.virtual_memory().available - taken, 0)
    check_model_allowed(name, needed)
    if needed > 0.9 * free:
        raise ModelError(
            "memory",
            f"{name} needs {format_bytes(needed)} of memory and {format_bytes(free)} are free. "
            f"Close something or pick a smaller model.",
        )
