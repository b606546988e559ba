"""Headers of safetensors files, read only from regular files and only where their size is plausible."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from model.errors import ModelError

MAX_HEADER_BYTES = 100_000_000  # what the safetensors library itself accepts
MAX_AXES, MAX_AXIS = 16, 2**48


DAMAGED = "files_damaged"  # reason: what can be done is to fetch or save the files again


def refuse(message: str, reason: str = "not_transformer") -> ModelError:
    """The error of a folder that is not opened.

    Args:
        message: a sentence that names files inside the folder only; reason: as of `ModelError`.
    """
    return ModelError(reason, message)


def is_regular(file: Path) -> bool:
    """Whether a path leads to a regular file, which can be read without waiting; the file is not opened."""
    try:
        return stat.S_ISREG(os.stat(file).st_mode)
    except (OSError, ValueError):
        return False


def read_header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: type, shape and place of each tensor by name, and "__metadata__".

    Raises:
        ModelError: it is no regular file, or its header is damaged, larger than the file or than `MAX_HEADER_BYTES`.
    """
    if not is_regular(file):
        raise refuse(f"{file.name} is no regular file, so it was not opened.")
    try:
        with file.open("rb") as weights:
            size = int.from_bytes(weights.read(8), "little")
            if size > os.fstat(weights.fileno()).st_size - 8:
                raise refuse(
                    f"The header of {file.name} is said to be larger than the file: it is damaged or cut off.", DAMAGED
                )
            if size > MAX_HEADER_BYTES:
                raise refuse(f"The header of {file.name} is said to be larger than 100 MB, so it was not read.")
            header = json.loads(weights.read(size))
    except OSError as error:
        raise refuse(f"{file.name} cannot be read.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise refuse(f"The header of {file.name} is damaged.", DAMAGED) from error
    if not isinstance(header, dict):
        raise refuse(f"The header of {file.name} is damaged.", DAMAGED)
    return header


def tensor_shapes(file: Path) -> list[list[int]]:
    """The shapes of all tensors of a safetensors file, from its header alone.

    Raises:
        ModelError: as `read_header`, or a shape is not a list of sizes.
    """
    shapes = []
    for name, entry in read_header(file).items():
        if name == "__metadata__":
            continue
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if not isinstance(shape, list) or len(shape) > MAX_AXES:
            raise refuse(f"The header of {file.name} is damaged.", DAMAGED)
        if not all(isinstance(size, int) and 0 <= size <= MAX_AXIS for size in shape):
            raise refuse(f"The header of {file.name} is damaged.", DAMAGED)
        shapes.append(shape)
    return shapes
