"""What goes between the app and a server: a little JSON and arrays, as one npz; nothing in it can be executed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array

VERSION = 4  # of what requests and answers hold; both sides must have the same
# The status of an answer. What was typed is wrong; the model fails; send the pictures too.
FINE, WRONG, FAILED, OTHER_VERSION, SEND_FILES = 200, 422, 424, 426, 428


def pack(meta: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """JSON and named arrays as bytes."""
    file = io.BytesIO()
    named: dict[str, Any] = {f"a.{name}": array for name, array in (arrays or {}).items()}
    named["json"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(file, **named)
    return file.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `pack` wrote; arrays are read-only.

    Raises:
        ValueError: it is something else.
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
