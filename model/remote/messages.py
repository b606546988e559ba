"""The wire format between app and server: JSON metadata and NumPy arrays in one npz file, read without pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array

PROTOCOL_VERSION = 6  # raised when the fields of messages change; app and server must have the same
# HTTP status codes of responses.
STATUS_OK = 200
STATUS_INVALID_INPUT = 422  # `InputError`
STATUS_MODEL_ERROR = 424  # `ModelError`
STATUS_VERSION_MISMATCH = 426
STATUS_FILES_REQUIRED = 428  # send the request again with its pictures


def pack(meta: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """A message as bytes.

    Args:
        meta: what JSON can hold; arrays: by name.
    """
    file = io.BytesIO()
    named: dict[str, Any] = {f"a.{name}": array for name, array in (arrays or {}).items()}
    named["json"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(file, **named)
    return file.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Metadata and read-only arrays of a message that `pack` wrote.

    Raises:
        ValueError: the bytes are no such message.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            meta = json.loads(file["json"].tobytes())
            arrays = {name.removeprefix("a."): file[name] for name in file.files if name != "json"}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"This is no message of Headlight's: {data[:40]!r}") from error
    for array in arrays.values():
        array.flags.writeable = False
    return meta, arrays
