"""The folders on this machine that hold the files of models. Nothing here uses the network."""

from __future__ import annotations

import os
from pathlib import Path

from model.assets import ASSETS
from model.catalog.entries import CATALOG, Hub


def download_folder() -> Path:
    """The folder that downloads from wheels are stored in.

    $HEADLIGHT_HOME where it is set, else the `models` folder of a class pack, else a folder in the user's cache.
    """
    packed = ASSETS.parent / "models"
    default = packed if packed.is_dir() else Path.home() / ".cache" / "headlight"
    return Path(os.environ.get("HEADLIGHT_HOME", default))


def local_folder(name: str) -> Path | None:
    """The folder of a model whose files are complete on this machine; None where they are not.

    Args:
        name: a catalog id, a hub name ("owner/name") or a folder with a config.json.
    """
    entry = CATALOG.get(name)
    if entry and entry.folder:
        return entry.folder
    if entry is None and any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json")):
        return Path(name)
    downloaded = download_folder() / name
    if (downloaded / "config.json").is_file():
        return downloaded
    hub = entry.hub if entry else Hub(name, "main")
    if hub is None or (entry is None and Path(name).is_absolute()):
        return None
    from model.catalog.hub import cached_snapshot

    return cached_snapshot(hub)


def input_kind(folder: Path) -> str:
    """The kind of input a model takes, "text" or "image".

    Judged by its preprocessing files: "image" where there is an image processor and no tokenizer.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file() or [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.model")]:
        return "text"
    return "image" if b'"image_' in _beginning(file) else "text"


def _beginning(file: Path) -> bytes:
    """The first megabyte of a file, which holds all of an honest configuration."""
    with file.open("rb") as content:
        return content.read(1_000_000)
