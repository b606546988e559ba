"""Errors whose messages are shown to the user."""

from __future__ import annotations

import errno
import os
import re

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class InputError(ValueError):
    """Raised where a text cannot be traced; the message says why and what to do.

    Attributes:
        reason: id of the same message in `assets/i18n`, in the reader's language.
        values: values to fill into that message, such as the number of tokens.
    """

    def __init__(self, reason: str, message: str, **values: int | str) -> None:
        super().__init__(message)
        self.reason = reason
        self.values = values


class ModelError(ValueError):
    """Raised where a model cannot be opened; the message says why and what to do.

    Attributes:
        reason: id of the same message in `assets/i18n`, in the reader's language.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OpeningError(ValueError):
    """Raised where a model's files are understood and cannot be used; the message is a clause in plain words.

    Args:
        reason: of the `ModelError` that it becomes.
    """

    def __init__(self, message: str, reason: str = "not_transformer") -> None:
        super().__init__(message)
        self.reason = reason


def is_failure(error: BaseException) -> bool:
    """Whether an error says that code failed; not where it ends a program, or the run of a page.

    A panic of Rust code is no Exception.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left; PyTorch has one of its own for each device."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            and re.search("not enough memory|can't allocate memory", str(error)) is not None
        )
    )


def disk_error_behind(error: BaseException) -> ModelError | None:
    """The error of a full or unwritable disk, where a library's error is one; libraries that write have their own."""
    if isinstance(error, OSError) and error.errno in (*NO_SPACE, *UNWRITABLE):
        return disk_error(error)
    if any(f"os error {number}" in str(error) or os.strerror(number) in str(error) for number in NO_SPACE):
        return disk_error(OSError(errno.ENOSPC, ""))
    return None


def disk_error(error: OSError) -> ModelError:
    """The error of a folder for downloads that takes no more; it does not say where on the disk that folder is."""
    if error.errno in NO_SPACE:
        return ModelError("disk", "The disk is full. What has come is kept.")
    return ModelError("disk", "The folder for downloads cannot be written to.")
