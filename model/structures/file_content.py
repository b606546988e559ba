"""The bytes of a picture, clip or sound that a user gives, checked before anything decodes them."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from model.errors import InputError

MEGABYTE = 1_000_000
MAX_BYTES = 20 * MEGABYTE
# What Pillow's readers raise on damaged files.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def file_content(source: str | Path | bytes, what: str) -> bytes:
    """The content of a file.

    Args:
        source: its path, or its content.
        what: "picture", "clip" or "sound", with which the reason of an error begins.

    Raises:
        InputError: there is no such file, or it has more than `MAX_BYTES`.
    """
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{what}_missing", f"There is no {what} {str(source)!r}.") from error
    if len(content) > MAX_BYTES:
        megabytes = -(-len(content) // MEGABYTE)  # rounded up: never "has 20 MB; at most 20"
        raise InputError(f"{what}_heavy", f"The file has {megabytes} MB; at most 20 are read.", megabytes=megabytes)
    return content
