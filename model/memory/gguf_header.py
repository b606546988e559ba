"""Headers of GGUF files: the parameters that they describe, read only where every size in them is plausible.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import IO

from model.memory.weight_headers import DAMAGED, is_regular, refuse

SUFFIX = ".gguf"
MAGIC, VERSIONS = b"GGUF", (2, 3)
MAX_ENTRIES, MAX_TENSORS, MAX_TEXT, MAX_ITEMS, MAX_DIMENSIONS = 10_000, 100_000, 2**24, 5_000_000, 4
# Codes of the format: sizes in bytes of its plain types, a text, a list.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, LIST = 8, 9
MAX_PARAMETERS_PER_BYTE = 8  # the smallest formats take more than a bit for a number


def gguf_file(place: Path) -> Path | None:
    """The GGUF file of a model: the place itself, or the first in a folder without a config.json; else None."""
    try:
        if place.suffix == SUFFIX and place.is_file():
            return place
        if not place.is_dir() or (place / "config.json").exists():
            return None
        return next(iter(sorted(place.glob(f"*{SUFFIX}"))), None)
    except OSError:  # a name too long for a file, or a folder that may not be read
        return None


def gguf_parameters(file: Path) -> int:
    """The number of parameters that a GGUF file holds, from its header alone.

    Raises:
        ModelError: it is no regular file, of another version, or a size in its header is larger than the file or than
            what is read here.
    """
    if not is_regular(file):
        raise refuse(f"{file.name} is no regular file, so it was not opened.")
    try:
        with file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            parameters = _Header(source, size).parameters()
    except OSError as error:
        raise refuse(f"{file.name} cannot be read.") from error
    except _DamagedError as error:
        raise refuse(f"{file.name} is no GGUF file that can be read here: {error}.", error.reason) from error
    if parameters > MAX_PARAMETERS_PER_BYTE * size:
        raise refuse(
            f"The header of {file.name} describes more numbers than the file can hold: it is damaged.", DAMAGED
        )
    return parameters


class _DamagedError(ValueError):
    """What is wrong with a header, as the end of a sentence. reason: as of `ModelError`"""

    def __init__(self, message: str, reason: str = DAMAGED) -> None:
        super().__init__(message)
        self.reason = reason


class _Header:
    """Reads a header from its beginning to its end; nothing is kept but the number of parameters."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self.source, self.size = source, size

    def parameters(self) -> int:
        """The number of parameters of all tensors."""
        if self.source.read(4) != MAGIC:
            raise _DamagedError("it does not begin like one")
        if self._number("I") not in VERSIONS:
            raise _DamagedError("it is of another version of the format", "not_transformer")
        tensors, entries = self._number("Q"), self._number("Q")
        if tensors > MAX_TENSORS or entries > MAX_ENTRIES:
            raise _DamagedError("its header has more entries than are read here")
        for _ in range(entries):
            self._text()
            self._value(self._number("I"))
        return sum(self._tensor() for _ in range(tensors))

    def _tensor(self) -> int:
        """The number of parameters of the next tensor."""
        self._text()
        dimensions = self._number("I")
        if dimensions > MAX_DIMENSIONS:
            raise _DamagedError("a tensor has more than four dimensions")
        count = math.prod(self._number("Q") for _ in range(dimensions))
        self._number("I")  # its number format
        if self._number("Q") > self.size:
            raise _DamagedError("a tensor lies behind its end, so it is cut off or damaged")
        return count

    def _value(self, kind: int) -> None:
        """Skip a value of one kind, or a list of such values."""
        if kind == TEXT:
            self._text()
        elif kind in SIZES:
            self._skip(SIZES[kind])
        elif kind == LIST:
            kind, items = self._number("I"), self._number("Q")
            if items > MAX_ITEMS:
                raise _DamagedError("a list in its header has more items than are read here")
            if kind in SIZES:
                self._skip(SIZES[kind] * items)
            elif kind == TEXT:
                for _ in range(items):
                    self._text()
            else:  # lists in lists are in no file that the library reads
                raise _DamagedError("its header has a value of an unknown kind")
        else:
            raise _DamagedError("its header has a value of an unknown kind")

    def _text(self) -> None:
        length = self._number("Q")
        if length > MAX_TEXT:
            raise _DamagedError("a text in its header is longer than is read here")
        self._skip(length)

    def _skip(self, count: int) -> None:
        if self.source.seek(count, os.SEEK_CUR) > self.size:
            raise _DamagedError("it is cut off")

    def _number(self, code: str) -> int:
        data = self.source.read(struct.calcsize(code))
        if len(data) < struct.calcsize(code):
            raise _DamagedError("it is cut off")
        return int(struct.unpack(f"<{code}", data)[0])
