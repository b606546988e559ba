"""Opening a sound or a film with PyAV, which is optional."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from model.errors import InputError

Container = tuple[int, bytes, str]  # where a file has a mark, the mark, and FFmpeg's name of the container


def container_of(content: bytes, containers: Sequence[Container]) -> str | None:
    """FFmpeg's name of a file's container, by its first bytes; None for a file of none of them.

    Containers are named to FFmpeg, not guessed by it: some of its formats are lists that make it open other files.
    """
    return next((name for at, mark, name in containers if content[at : at + len(mark)] == mark), None)


@contextmanager
def opened_media(content: bytes, container: str, reason: str, what: str) -> Iterator[tuple[Any, Any]]:
    """A context with PyAV and the file that it opened; what it raises on a damaged file becomes a sentence.

    Args:
        reason: "clip" or "sound", with which the reason of an error begins; what: "film" or "sound", in its message.

    Raises:
        InputError: PyAV is missing, or the file is damaged.
    """
    if find_spec("av") is None:
        raise InputError(f"{reason}_library", f"PyAV reads {what}s: pip install -r requirements-apps.txt")
    import av

    try:
        with av.open(io.BytesIO(content), format=container) as opened:
            yield av, opened
    except InputError:
        raise
    except Exception as error:  # PyAV raises whatever a damaged file leads to: also of a stream that has no decoder
        raise InputError(f"{reason}_broken", f"The {what} cannot be read to its end.") from error


def minutes(seconds: float) -> str:
    """A length as "1:05"."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
