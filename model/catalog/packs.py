"""A class pack: one folder with the app, its models and lessons, and the list of what Python needs, for no network."""

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
from model.catalog.store import here
from model.errors import ModelError
from model.memory.fit import format_bytes

HOME = ASSETS.parent
CODE = ("app.py", "desktop.py", "model", "viz", "assets", "static", ".streamlit", "README.md", "LICENSE")
LISTS = ("requirements.txt", "requirements-desktop.txt")
HOW = """\
# Headlight for a class

All it takes to run Headlight without a network. Models in it: {models}.

On a computer with Python {python}, in this folder, once:

    {install}

Then, for the class:

    python -m streamlit run app.py

The first command needs {source}. The second needs no network: open the address it prints, or give it to the class.
"""


def pack(folder: Path, models: Sequence[str] | None = None, *, wheels: bool = False) -> list[str]:
    """Write a class pack.

    Args:
        folder: to be made; it must not exist, or be empty.
        models: catalog ids or hub names; None for those that are here.
        wheels: also download the Python packages, so that they can be installed without a network.

    Returns:
        The names of the models in it.

    Raises:
        ModelError: the folder is not empty, a model is not here, the disk is full, or the packages cannot be reached.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError("folder", f"{folder} is not an empty folder: give the name of a new one.")
    names = [name for name in CATALOG if here(name)] if models is None else list(dict.fromkeys(models))
    found = {name: here(name) for name in names}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        raise ModelError("missing", f"Not here: {', '.join(missing)}. Fetch first: python -m model.catalog get NAME")
    added = {name: place for name, place in found.items() if place is not None and not place.is_relative_to(HOME)}
    needed = sum(_size(place) for place in [*added.values(), *(HOME / name for name in CODE)])
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            "disk", f"The pack takes {format_bytes(needed)}, and {format_bytes(free)} are free at {folder}."
        )
    for name in (*CODE, *LISTS):
        source, target = HOME / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.is_file():
            shutil.copy2(source, target)
    for name, place in added.items():  # links into the hub's cache become files
        shutil.copytree(place, folder / "models" / name, ignore=shutil.ignore_patterns(".git"))
    (folder / "models").mkdir(exist_ok=True)  # also where there is none: so the app looks for models here
    locked = _download(folder) if wheels else [f"{name}=={number}" for name, number in _installed()]
    (folder / "wheels.txt").write_text("\n".join(locked) + "\n", encoding="utf-8")
    offline = "pip install --no-index --find-links wheels --require-hashes -r wheels.txt"
    how = {
        "install": offline if wheels else "pip install -r wheels.txt",
        "source": "no network either" if wheels else "a network, once; make the pack with --wheels to do without",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}" + (" and the same system" if wheels else ""),
    }
    (folder / "PACK.md").write_text(HOW.format(models=", ".join(names) or "none", **how), encoding="utf-8")
    return names


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _download(folder: Path) -> list[str]:
    """Every wheel that the app needs, into the pack; a line each with its checksum."""
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
    if subprocess.run([*command, "-r", str(HOME / "requirements.txt")]).returncode:
        raise ModelError("no_network", "The package index cannot be reached, or lacks a package. Try again later.")
    lines = []
    for file in sorted((folder / "wheels").glob("*.whl")):
        name, number = file.name.split("-")[:2]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{name.replace('_', '-')}=={number} --hash=sha256:{digest}")
    return lines


def _installed() -> list[tuple[str, str]]:
    """All packages that the app needs here, those that they need included, with the versions that are installed."""
    asked = re.findall(r"^([\w.-]+)==", (HOME / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    found: dict[str, str] = {}
    while asked:
        name = re.sub(r"[-_.]+", "-", asked.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one of another system
            continue
        needs = [need for need in requires(name) or [] if "extra ==" not in need]
        asked += [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs]
    return sorted(found.items())
