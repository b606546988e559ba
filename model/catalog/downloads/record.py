"""What was fetched, with checksums, in a small file beside it; and files that are damaged since, which are dropped."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.catalog.downloads.plan import Plan, has_digest
from model.catalog.entries import CATALOG, Hub
from model.catalog.folder_check import read_json
from model.catalog.hub_cache import cached_snapshot
from model.catalog.store import download_folder, fetched_folder
from model.errors import ModelError
from model.memory.weight_headers import read_header

RECORD = ".headlight.json"
PARTS_KEPT = 7 * 86_400  # seconds after which an unfinished download counts as given up


def checksums(folder: Path) -> dict[str, str]:
    """Name -> checksum of the files of a folder, as `RemoteFile.digest`."""
    return {file.name: _digest(file) for file in sorted(folder.iterdir()) if file.is_file()}


def write_record(folder: Path, plan: Plan, files: Mapping[str, str]) -> None:
    """Write down where the files of a folder came from. files: name -> checksum"""
    content = {"source": plan.source, "commit": plan.commit, "files": dict(files)}
    (folder / RECORD).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """Source, commit and checksums of a folder's files; empty where it has none that can be read."""
    try:
        found = read_json(folder / RECORD)
    except ModelError:
        return {}
    return found if isinstance(found.get("files"), dict) else {}


def drop_damaged(name: str) -> list[str]:
    """The names of a fetched model's files that are not what was fetched; the model then has to be fetched again.

    Only what Headlight or the hub's library fetched is looked at: a folder of the user's own is never touched.
    """
    folder = fetched_folder(name)
    if folder is not None:
        damaged = _damaged_in_own(folder)
        if damaged:
            shutil.rmtree(folder, ignore_errors=True)
        return damaged
    entry = CATALOG.get(name)
    hub = entry.hub if entry else Hub(name, "main")
    snapshot = None if hub is None or Path(name).is_dir() else cached_snapshot(hub)
    if snapshot is None:
        return []
    damaged = [file.name for file in sorted(snapshot.iterdir()) if file.is_symlink() and not _is_its_blob(file)]
    for file in [snapshot / one for one in damaged]:
        file.resolve().unlink(missing_ok=True)
        file.unlink(missing_ok=True)
    if damaged:  # without it, the rest does not count as a model that is here
        (snapshot / "config.json").unlink(missing_ok=True)
    return damaged


def damage_or(name: str, error: ModelError) -> ModelError:
    """The same error of a model that cannot be opened, or the one that names its damaged files, which are dropped."""
    if error.reason not in ("not_transformer", "no_tokenizer", "files_damaged", "unread_kind"):
        return error
    dropped = drop_damaged(name)
    if not dropped:
        return error
    files = ", ".join(dropped)
    return ModelError("damaged", f"Damaged since it was fetched, and removed: {files}. Fetch {name} again.")


def _damaged_in_own(folder: Path) -> list[str]:
    """Names of the files of a folder for downloads that are missing or have another checksum than when they came."""
    known = read_record(folder).get("files")
    if known:
        return sorted(name for name, digest in known.items() if not _has(folder / name, str(digest)))
    damaged = []
    for file in sorted(folder.iterdir()):  # fetched before there were records: what can be seen without one
        try:
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".safetensors":
                read_header(file)
        except (OSError, ValueError, RecursionError):
            damaged.append(file.name)
    return damaged


def _has(file: Path, digest: str) -> bool:
    try:
        return has_digest(file, digest)
    except OSError:
        return False


def _is_its_blob(link: Path) -> bool:
    """Whether a file of the hub's cache is what its name there says: its checksum, as SHA-256 or as a blob of Git."""
    blob = link.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return _has(blob, f"sha256:{blob.name}")
    return not re.fullmatch(r"[0-9a-f]{40}", blob.name) or _has(blob, f"git:{blob.name}")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def parts_folder(name: str) -> Path:
    """The folder for the unfinished files of a download."""
    plain = re.sub(r"[^\w.-]", "-", name)[:80]
    return download_folder() / ".parts" / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def drop_abandoned_parts(now: float, keep: Path) -> list[str]:
    """Folders of unfinished downloads that nobody has gone on with for `PARTS_KEPT`, removed: their names.

    Args:
        now: seconds since 1970, as `time.time` says.
        keep: the folder of a download that is about to go on, however old.
    """
    from filelock import FileLock, Timeout

    dropped = []
    for folder in sorted((download_folder() / ".parts").glob("*")):
        if folder == keep or not folder.is_dir():
            continue
        try:
            times = [file.stat().st_mtime for file in (folder, *folder.iterdir())]
        except OSError:  # another program is at work in it
            continue
        if now - max(times) < PARTS_KEPT:
            continue
        try:
            with FileLock(folder / "lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # another program fetches it, or it is another user's
            continue
        dropped.append(folder.name)
    return dropped
