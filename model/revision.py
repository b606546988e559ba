"""Which version of a model's weights is here: what a link and a handout need so that numbers can be repeated."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from model.fetch import here

WEIGHTS = ("*.safetensors", "*.bin", "*.h5", "*.msgpack")


def revision(name: str) -> str:
    """The hub's commit, or the checksum of the weight files where there is none; "" where the model is not here.

    Returns:
        "git-" and the commit, or "sha256-" and 64 hexadecimal digits.
    """
    folder = here(name)
    if folder is None:
        return ""
    if folder.parent.name == "snapshots":  # the hub's own cache names a folder by its commit
        return f"git-{folder.name}"
    files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
    return _checksum(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@cache
def _checksum(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of all the files in one go; size and time make a changed file a new question."""
    total = hashlib.sha256()
    for file, *_ in files:
        with file.open("rb") as source:
            for block in iter(lambda: source.read(1 << 20), b""):
                total.update(block)
    return f"sha256-{total.hexdigest()}"
