"""Class packs: one folder with the app, its models, its lessons and the list of Python packages, for use offline."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.catalog.store import local_folder
from model.errors import ModelError
from model.memory.fit import format_bytes

PROJECT = ASSETS.parent
PROJECT_FOLDERS = ("model", "viz", "assets", "static", ".streamlit", "docs")
PROJECT_FILES = ("app.py", "desktop.py", "server.py", *PROJECT_FOLDERS, "README.md", "LICENSE")
REQUIREMENT_FILES = ("requirements.txt", "requirements-desktop.txt")
INSTRUCTIONS = """\
# Headlight for a class

All it takes to run Headlight without a network. Models in it: {models}.

On a computer with Python {python}, in this folder, once:

    {install}

Then, for the class:

    python -m streamlit run app.py

The first command needs {source}. The second needs no network: open the address it prints, or give it to the class.
"""


def pack(folder: Path, models: Sequence[str] | None = None, *, wheels: bool = False) -> list[str]:
    """Write a class pack; the names of the models in it.

    Args:
        folder: receives the pack; it must not exist, or be empty.
        models: catalog ids or hub names; None for all catalog models on this machine.
        wheels: also download the Python packages, so that they can be installed offline.

    Raises:
        ModelError: the folder is not empty ("folder"), a model is not on this machine ("missing"), the disk is full
            ("disk"), or the package index cannot be reached ("no_network").
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError("folder", f"{folder} is not an empty folder: give the name of a new one.")
    names = [name for name in CATALOG if local_folder(name)] if models is None else list(dict.fromkeys(models))
    folders = {name: local_folder(name) for name in names}
    missing = [name for name, source in folders.items() if source is None]
    if missing:
        raise ModelError("missing", f"Not here: {', '.join(missing)}. Fetch first: python -m model.catalog get NAME")
    # Models that come with the repository are in its assets, which are copied anyway.
    added = {name: path for name, path in folders.items() if path is not None and not path.is_relative_to(PROJECT)}
    needed = sum(_bytes_of(path) for path in [*added.values(), *(PROJECT / name for name in PROJECT_FILES)])
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            "disk", f"The pack takes {format_bytes(needed)}, and {format_bytes(free)} are free at {folder}."
        )
    for name in (*PROJECT_FILES, *REQUIREMENT_FILES):
        source, target = PROJECT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.is_file():
            shutil.copy2(source, target)
    for name, path in added.items():  # copying replaces the links into the hub's cache by files
        shutil.copytree(path, folder / "models" / name, ignore=shutil.ignore_patterns(".git"))
    (folder / "models").mkdir(exist_ok=True)  # even if empty: the app looks for models in it where it exists
    locked = _download_wheels(folder) if wheels else [f"{name}=={number}" for name, number in _installed_versions()]
    (folder / "wheels.txt").write_text("\n".join(locked) + "\n", encoding="utf-8")
    offline = "pip install --no-index --find-links wheels --require-hashes -r wheels.txt"
    commands = {
        "install": offline if wheels else "pip install -r wheels.txt",
        "source": "no network either" if wheels else "a network, once; make the pack with --wheels to do without",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}" + (" and the same system" if wheels else ""),
    }
    (folder / "PACK.md").write_text(
        INSTRUCTIONS.format(models=", ".join(names) or "none", **commands), encoding="utf-8"
    )
    return names


def _bytes_of(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _download_wheels(folder: Path) -> list[str]:
    """Requirement lines with checksums of all wheels that the app needs, which are downloaded into the pack."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--dest",
        str(folder / "wheels"),
    ]
    if subprocess.run([*command, "-r", str(PROJECT / "requirements.txt")]).returncode:
        raise ModelError("no_network", "The package index cannot be reached, or lacks a package. Try again later.")
    lines = []
    for file in sorted((folder / "wheels").glob("*.whl")):
        name, number = file.name.split("-")[:2]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{name.replace('_', '-')}=={number} --hash=sha256:{digest}")
    return lines


def _installed_versions() -> list[tuple[str, str]]:
    """Name and installed version of every package that the app depends on, directly or not."""
    pending = re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    versions: dict[str, str] = {}
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in versions:
            continue
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # required on another operating system only
            continue
        requirements = [one for one in requires(name) or [] if "extra ==" not in one]
        pending += [re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in requirements]
    return sorted(versions.items())
