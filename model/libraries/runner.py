"""Attention computed by another library: in this process, or for Keras on TensorFlow in a subprocess.

python -m model.libraries.runner FOLDER formula      reads FOLDER/in.npz, writes FOLDER/out.npz
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from model.arrays.types import Array

PACKAGES = {"pytorch": "torch", "huggingface": "transformers", "keras": "keras"}
TENSORFLOW = "tensorflow"
ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120  # importing TensorFlow takes some of them

UNWRITABLE = "The disk of this server is full, or takes no files."


class LibraryError(Exception):
    """A library is not installed or could not be run."""


@dataclass(frozen=True, eq=False)
class LibraryRun:
    """Result of a library's attention.

    Attributes:
        weights: [head, query, key].
        output: [head, query, head_dim] of the formula, [query, d_model] of a whole layer.
        versions: packages and versions, such as "keras 3.15.1 on torch".
    """

    weights: Array
    output: Array
    versions: str


def available_libraries() -> tuple[str, ...]:
    """Names of the libraries to run: those of `PACKAGES`, and "tensorflow" (Keras on it) where that is installed."""
    return (*PACKAGES, TENSORFLOW) if find_spec(TENSORFLOW) else tuple(PACKAGES)


def run(library: str, part: str, inputs: Mapping[str, Any]) -> LibraryRun:
    """Weights and output of a head's formula or of a whole layer, computed by one of the `available_libraries`.

    Args:
        library: its name.
        part: "formula" or "layer", the function of the library's file in this folder.
        inputs: the function's arguments: fields of `FormulaInputs` or of `LayerInputs`.

    Raises:
        LibraryError: the library is not installed, or its subprocess failed.
    """
    if library == TENSORFLOW:
        return _run_in_subprocess(part, inputs)
    try:
        module = import_module(f"model.libraries.{library}")
    except (ImportError, ValueError) as error:  # ValueError: Keras does not know the backend that is set
        raise LibraryError(str(error)) from error
    weights, output = getattr(module, part)(**inputs)
    versions = f"{PACKAGES[library]} {version(PACKAGES[library])}"
    if library == "keras":
        versions += f" on {module.keras.backend.backend()}"
    return LibraryRun(weights, output, versions)


def _run_in_subprocess(part: str, inputs: Mapping[str, Any]) -> LibraryRun:
    """Keras on TensorFlow, in a subprocess: a process cannot change the backend of Keras after the import."""
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise LibraryError(UNWRITABLE) from error
    with folder as place:
        try:
            np.savez(Path(place) / "in.npz", **inputs)
        except OSError as error:
            raise LibraryError(UNWRITABLE) from error
        command = [sys.executable, "-m", "model.libraries.runner", place, part]
        settings = {"KERAS_BACKEND": TENSORFLOW, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        try:
            subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | settings,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise LibraryError((error.stderr.strip().splitlines() or [str(error)])[-1]) from error
        except subprocess.TimeoutExpired as error:
            raise LibraryError(str(error)) from error
        with np.load(Path(place) / "out.npz") as result:
            return LibraryRun(result["weights"], result["output"], str(result["versions"]))


def main(folder: str, part: str) -> None:
    """Run Keras in this process, on the backend of $KERAS_BACKEND: reads `in.npz` and writes `out.npz` of a folder."""
    with np.load(Path(folder) / "in.npz") as saved:
        inputs = {name: array.item() if array.ndim == 0 else array for name, array in saved.items()}
    result = run("keras", part, inputs)
    versions = f"{result.versions} {import_module(TENSORFLOW).__version__}"
    np.savez(Path(folder) / "out.npz", weights=result.weights, output=result.output, versions=versions)


if __name__ == "__main__":
    main(*sys.argv[1:])
