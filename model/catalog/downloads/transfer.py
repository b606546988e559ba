"""One file over HTTP: continued where it stopped, never longer than it was said to be, and checked at its end."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import requests

from model.catalog.downloads.plan import RemoteFile, has_digest
from model.errors import ModelError, disk_error

ATTEMPTS = 4  # without a single byte in between
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = (10, 20)  # to connect, and without a byte
BLOCK_BYTES = 1 << 16


def transfer(file: RemoteFile, part: Path, added: Callable[[int], None]) -> None:
    """Fetch a file; what is in `part` already is not fetched again.

    Args:
        part: holds the beginning of the file, or does not exist; in the end, it holds all of it.
        added: called with the bytes that came, 0 between attempts; what it raises ends the transfer, and `part` stays.

    Raises:
        ModelError: it broke off ("interrupted"), needs a login ("gated"), is gone ("unknown"), is not what was said
            ("changed", and `part` is removed), or there is no room on the disk ("disk").
    """
    left = ATTEMPTS
    with requests.Session() as session:
        while size_of(part) != file.size or not file.size:
            before = size_of(part)
            try:
                _append(session, file, part, added)
                if size_of(part) >= file.size:
                    break
            except requests.RequestException as error:
                left = ATTEMPTS if size_of(part) > before else left - 1
                if left <= 0:
                    raise _broke_off(file) from error
            except OSError as error:
                raise disk_error(error) from error
            else:  # the server ended early, and said it was all
                left -= 1
                if left <= 0:
                    raise _broke_off(file)
            added(0)
            time.sleep(PAUSE_SECONDS)
    if not has_digest(part, file.digest):
        part.unlink()
        raise ModelError("changed", f"{file.name} has another checksum than expected. It was not used.")


def size_of(part: Path) -> int:
    """Bytes that are here of a file; 0 for what is no regular file."""
    try:
        found = os.stat(part, follow_symlinks=False)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _append(session: requests.Session, file: RemoteFile, part: Path, added: Callable[[int], None]) -> None:
    """One request for what is missing of a file."""
    here = size_of(part)
    if here > file.size:
        part.unlink()
        here = 0
    headers = {**file.headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    with session.get(file.address, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as reply:
        if reply.status_code in (401, 403):
            raise ModelError("gated", f"{file.name} asks for a login, or for a licence to be accepted.")
        if reply.status_code in (404, 410):
            raise ModelError("unknown", f"{file.name} is not there any more.")
        if reply.status_code == 416:  # nothing follows what is here, so it is not the beginning of this file
            part.unlink(missing_ok=True)
            raise requests.RequestException("the rest was refused")
        reply.raise_for_status()
        if reply.status_code != 206 and here:  # the server sends it from the beginning
            added(-here)
            here = 0
        elif here and not reply.headers.get("Content-Range", f"bytes {here}-").startswith(f"bytes {here}-"):
            raise requests.RequestException("another part than asked for")
        with part.open("ab" if here else "wb") as sink:
            for block in reply.iter_content(BLOCK_BYTES):
                here += len(block)
                if here > file.size:
                    raise ModelError("changed", f"{file.name} is longer than its source said. It was not used.")
                sink.write(block)
                added(len(block))


def _broke_off(file: RemoteFile) -> ModelError:
    return ModelError("interrupted", f"The download of {file.name} broke off. Try again: it goes on where it stopped.")
