"""What a download would bring: its files, their sizes and checksums, and the errors that end it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Called again and again during a download with its phase ("elsewhere", "running" or "unpacking"), the bytes that are
# here and those of the whole; raises `Cancelled` to end it.
Report = Callable[[str, int, int], None]


class Cancelled(Exception):  # noqa: N818  (not an error: somebody wanted it)
    """Ends a download; what has come stays for the next one."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        name: in the model's folder, without a path; size: in bytes.
        digest: its checksum, "sha256:…" or "git:…" (a blob of Git); headers: of the request.
    """

    name: str
    address: str
    size: int
    digest: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A download that has not begun.

    Attributes:
        name: of the model; source: for people.
        files: all that is fetched; commit: of the hub, "" for none.
        extra_bytes: that unpacking takes on the disk beside the files.
        licence: its name, as the catalog has it, else as the hub has it; "" for none.
        unpack: writes a model's files out of the only fetched file into a folder; None where the files are the model's.
    """

    name: str
    source: str
    files: tuple[RemoteFile, ...]
    commit: str = ""
    extra_bytes: int = 0
    licence: str = ""
    unpack: Callable[[Path, Path], None] | None = None

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.files)


def part_name(file: RemoteFile) -> str:
    """The name of a file as long as it is not complete: its checksum, so that parts of versions are not mixed."""
    return file.digest.partition(":")[2]


def has_digest(file: Path, digest: str) -> bool:
    """Whether a file has a checksum."""
    kind, _, expected = digest.partition(":")
    found = hashlib.sha1(f"blob {file.stat().st_size}\0".encode()) if kind == "git" else hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            found.update(block)
    return found.hexdigest() == expected
