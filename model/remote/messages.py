"""The wire format between app and server: JSON metadata and NumPy arrays in one npz file, read without pickle."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array

MAX_REQUEST_BYTES = 25_000_000  # a picture of 20 MB, and what is said about it
MAX_REPLY_BYTES = 4_000_000_000
MAX_PARTS, MAX_TABLE_BYTES, MAX_HEADER_CHARACTERS = 64, 100_000, 10_000
ZIP_END = struct.Struct("<4s4H2LH")  # the last record of a zip file: APPNOTE.TXT 4.3.16
# What readers of zip, npy and JSON raise on bytes that are none.
UNREADABLE = (EOFError, KeyError, NotImplementedError, RecursionError, SyntaxError, ValueError, zipfile.BadZipFile)
PROTOCOL_VERSION = 13  # raised when the fields of messages change; app and server must have the same
# HTTP status codes of responses.
STATUS_OK = 200
STATUS_WRONG_SECRET = 401
STATUS_TOO_LARGE = 413
STATUS_INVALID_INPUT = 422  # `InputError`
STATUS_MODEL_ERROR = 424  # `ModelError`
STATUS_VERSION_MISMATCH = 426
STATUS_FILES_REQUIRED = 428  # send the request again with its pictures
STATUSES = {STATUS_OK, STATUS_WRONG_SECRET, STATUS_TOO_LARGE, STATUS_INVALID_INPUT, STATUS_MODEL_ERROR}
STATUSES |= {STATUS_VERSION_MISMATCH, STATUS_FILES_REQUIRED}


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


def unpack(data: bytes, most: int = MAX_REPLY_BYTES) -> tuple[dict[str, Any], dict[str, Array]]:
    """Metadata and read-only arrays of a message that `pack` wrote. Nothing is inflated, and nothing is allocated.

    Args:
        most: bytes that the message may have.

    Raises:
        ValueError: the bytes are no such message, or more than `most`.
    """
    if len(data) > most:
        raise ValueError(f"This message has {len(data):,} bytes; at most {most:,} are read.")
    try:
        parts = _read_parts(data)
        meta = json.loads(parts.pop("json").tobytes())
    except UNREADABLE as error:
        raise ValueError(f"This is no message of Headlight's: {data[:40]!r}") from error
    if not isinstance(meta, dict):
        raise ValueError(f"This is no message of Headlight's: {data[:40]!r}")
    return meta, {name.removeprefix("a."): array for name, array in parts.items()}


def _read_parts(data: bytes) -> dict[str, Array]:
    """The arrays of an uncompressed npz file by name, as views of its bytes.

    Raises:
        ValueError, zipfile.BadZipFile: it is none, has too many parts, or parts that are not as large as they say.
    """
    # The table of contents is read whole, so its size is looked at first; one for files above 4 GB is not read.
    end = data[-ZIP_END.size :]
    signature, *_, table_bytes, _, comment = ZIP_END.unpack(end) if len(end) == ZIP_END.size else (b"",) * 8
    if signature != b"PK\5\6" or comment or table_bytes > MAX_TABLE_BYTES or data[-42:-38] == b"PK\6\7":
        raise ValueError("no table of contents")
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = file.infolist()
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > len(data):
            raise ValueError("more than there is")
        if any(part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1 for part in parts):
            raise ValueError("compressed or encrypted")
        return {part.filename.removesuffix(".npy"): _as_array(file.read(part)) for part in parts}


def _as_array(content: bytes) -> Array:
    """The read-only array that the bytes of an npy file hold, of numbers only.

    Raises:
        ValueError: they hold something else, or another number of bytes than their header says.
    """
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, is_column_major, dtype = read_header(file, max_header_size=MAX_HEADER_CHARACTERS)
    start = file.tell()
    if dtype.kind not in "biuf" or min(shape, default=0) < 0:
        raise ValueError("no numbers")
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError("another size than its header says")
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if is_column_major else "C")
