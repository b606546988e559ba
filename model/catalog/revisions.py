"""The version of a model's weights on this machine, by checksum and by commit, so that results can be reproduced."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from model.catalog.downloads.record import read_record
from model.catalog.store import fetched_folder, local_folder
from model.memory.gguf_header import gguf_file

WEIGHTS = ("*.safetensors", "*.bin")


def revision(name: str) -> str:
    """The version of a model's weights, "sha256-" and their checksum; "" where the model is not on this machine.

    For weights in several files, it is the checksum of their checksums.
    """
    folder = local_folder(name)
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern) if file.is_file()) if folder else []
    if folder and (single := gguf_file(folder)):
        files = [single]
    checksums = [_checksum(file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    if len(checksums) > 1:
        checksums = [hashlib.sha256("".join(checksums).encode()).hexdigest()]
    return f"sha256-{checksums[0]}" if checksums else ""


def commit(name: str) -> str:
    """The hub's commit of a model's files; "" where the model did not come from the hub."""
    folder = local_folder(name)
    if folder and folder.parent.name == "snapshots":
        return folder.name
    return str(read_record(folder).get("commit", "")) if folder and folder == fetched_folder(name) else ""


@cache
def _checksum(file: Path, size: int, modified_ns: int) -> str:
    """SHA-256 of a file; size and modification time are part of the cache key, so a changed file is read again."""
    if re.fullmatch(r"[0-9a-f]{64}", file.name):  # the hub's cache names a large file by its checksum
        return file.name
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
