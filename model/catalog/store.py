"""The folders on this machine that hold the files of models. Nothing here uses the network."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from model.assets import ASSETS
from model.catalog.entries import CATALOG, Hub
from model.catalog.folder_check import read_json
from model.catalog.permission import (
    PICTURE_HALF,
    in_catalog,
    is_hub_name,
    may_be_folder,
    may_be_hub,
    without_part,
)
from model.errors import ModelError
from model.memory.gguf_header import gguf_file

# Model types of encoder-decoder families that turn sound into text, and are opened with it.
SPEECH = ("whisper", "speech_to_text", "moonshine")


def download_folder() -> Path:
    """The folder that downloads from wheels are stored in.

    $HEADLIGHT_HOME where it is set, else the `models` folder of a class pack, else a folder in the user's cache, or in
    the folder for temporary files where the user has no home.
    """
    if chosen := os.environ.get("HEADLIGHT_HOME"):
        return Path(chosen)
    packed = ASSETS.parent / "models"
    if packed.is_dir():
        return packed
    try:
        return Path.home() / ".cache" / "headlight"
    except RuntimeError:  # a user without a home
        return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    """A folder of this user alone beside temporary files; others may have put models into one of the same name."""
    folder = Path(tempfile.gettempdir()) / "headlight-cache"
    if hasattr(os, "getuid"):
        folder = folder.with_name(f"headlight-{os.getuid()}")
        with suppress(OSError):
            folder.mkdir(mode=0o700)
        if os.path.lexists(folder):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                return Path(tempfile.mkdtemp(prefix="headlight-"))
    return folder


def local_folder(name: str) -> Path | None:
    """The folder, or the GGUF file, of a model whose files are complete on this machine; None where they are not.

    None, too, and without a look at the disk, for a model that may not be opened on this server.

    Args:
        name: a catalog id, a hub name ("owner/name") a folder with a config.json, or a GGUF file; what stands for
            a part of the model may follow.
    """
    name = without_part(name)
    entry = CATALOG.get(name)
    if entry and entry.folder:
        return entry.folder
    if may_be_folder(name) and _has_model(Path(name)):
        return Path(name)
    if not (in_catalog(name) or may_be_hub(name)):
        return None
    downloaded = fetched_folder(name)
    if downloaded:
        return downloaded
    hub = entry.hub if entry else Hub(name, "main")
    if hub is None:
        return None
    from model.catalog.hub_cache import cached_snapshot

    return cached_snapshot(hub)


def fetched_folder(name: str) -> Path | None:
    """The folder that Headlight fetched a model into; None where it did not."""
    if name not in CATALOG and not is_hub_name(name):
        return None
    folder = download_folder() / name
    return folder if _has_model(folder) else None


def adapter_base(name: str) -> str:
    """The name of the model that an adapter on this machine belongs to; "" for what is no adapter alone."""
    folder = local_folder(name)
    if folder is None or (folder / "config.json").is_file():
        return ""
    try:
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    except ModelError:  # said when it is opened
        return ""
    return base if isinstance(base, str) else ""


def _has_model(folder: Path) -> bool:
    """Whether a folder has the file that every model or adapter has, or is or holds a GGUF file."""
    try:
        named = any((folder / file).is_file() for file in ("config.json", "adapter_config.json"))
        return named or gguf_file(folder) is not None
    except OSError:  # a name too long for a file, or a folder that may not be read
        return False


def input_kind(folder: Path, name: str = "") -> str:
    """The kind of input a model takes, "text", "image", "video" or "sound".

    Judged by its files: "video" where a from-scratch model reads frames; "image" where there is an image processor and
    no tokenizer, or where the model's name asks for its half that reads pictures; "sound" where there is what prepares
    sounds, and the configuration is of a family that turns them into text.
    """
    if name.endswith(PICTURE_HALF):
        return "image"
    if reads_frames(folder):
        return "video"
    if hears(folder):
        return "sound"
    file = folder / "preprocessor_config.json"
    if not file.is_file() or [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.model")]:
        return "text"
    return "image" if b'"image_' in _beginning(file) else "text"


def reads_frames(folder: Path) -> bool:
    """Whether a folder holds a from-scratch model of clips."""
    config = _config(folder)
    return "frames" in config and "model_type" not in config


def hears(folder: Path) -> bool:
    """Whether a folder holds a model of speech with what prepares sounds for it."""
    if _config(folder).get("model_type") not in SPEECH:
        return False
    files = (folder / name for name in ("preprocessor_config.json", "processor_config.json"))
    return any(file.is_file() and b"feature_extractor" in _beginning(file) for file in files)


def _config(folder: Path) -> dict[str, Any]:
    """A folder's configuration; empty where it has none that can be read, which is said when it is opened."""
    try:
        config = json.loads(_beginning(folder / "config.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _beginning(file: Path) -> bytes:
    """The first megabyte of a file, which holds all of an honest configuration."""
    with file.open("rb") as content:
        return content.read(1_000_000)
