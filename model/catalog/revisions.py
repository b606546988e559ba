"""Which version of a model's weights is here: what a link and a handout need so that numbers can be repeated."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from model.catalog.store import here

WEIGHTS = ("*.safetensors", "*.bin")


def revision(name: str) -> str:
    """ "sha256-" and the checksum of the weights (of several files: of their checksums); "" where there are none."""
    folder = here(name)
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern)) if folder else []
    sums = [_checksum(file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    if len(sums) > 1:
        sums = [hashlib.sha256("".join(sums).encode()).hexdigest()]
    return f"sha256-{sums[0]}" if sums else ""


def commit(name: str) -> str:
    """The hub's name for the same version; "" where the model did not come from the hub."""
    folder = here(name)
    return folder.name if folder and folder.parent.name == "snapshots" else ""


@cache
def _checksum(file: Path, size: int, changed: int) -> str:
    """Size and time make a changed file a new question."""
    if re.fullmatch(r"[0-9a-f]{64}", file.name):  # the hub's own cache names a large file by its checksum
        return file.name
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
