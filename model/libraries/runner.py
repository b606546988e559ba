"""Run a library's formula or layer, here or in a process of its own, where Keras can compute with TensorFlow.

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
SECONDS = 120  # TensorFlow alone takes some to be imported


class LibraryError(Exception):
    """A library is not installed, or could not be run."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a library computed.

    Attributes:
        weights: [head, query, key]; output: the formula's [head, query, head_dim] or the layer's [query, d].
        how: packages and versions, as in "keras 3.15.1 on torch".
    """

    weights: Array
    output: Array
    how: str


def available() -> tuple[str, ...]:
    """The libraries to run: those of `PACKAGES`, and Keras on TensorFlow where that is installed."""
    return (*PACKAGES, TENSORFLOW) if find_spec(TENSORFLOW) else tuple(PACKAGES)


def run(library: str, part: str, inputs: Mapping[str, Any]) -> Run:
    """Run `formula` or `layer` of one of the `available` libraries.

    Raises:
        LibraryError: it is not installed, or its process failed.
    """
    if library == TENSORFLOW:
        return _run_apart(part, inputs)
    try:
        module = import_module(f"model.libraries.{library}")
    except (ImportError, ValueError) as error:  # Keras: an engine that is not there, or that it does not know
        raise LibraryError(str(error)) from error
    weights, output = getattr(module, part)(**inputs)
    how = f"{PACKAGES[library]} {version(PACKAGES[library])}"
    return Run(weights, output, f"{how} on {module.keras.backend.backend()}" if library == "keras" else how)


def _run_apart(part: str, inputs: Mapping[str, Any]) -> Run:
    """Keras on TensorFlow: what Keras computes with is fixed for a whole process, so it gets one of its own."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "in.npz", **inputs)
        command = [sys.executable, "-m", "model.libraries.runner", folder, part]
        settings = {"KERAS_BACKEND": TENSORFLOW, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        try:
            subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | settings,
                capture_output=True,
                text=True,
                check=True,
                timeout=SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise LibraryError((error.stderr.strip().splitlines() or [str(error)])[-1]) from error
        except subprocess.TimeoutExpired as error:
            raise LibraryError(str(error)) from error
        with np.load(Path(folder) / "out.npz") as made:
            return Run(made["weights"], made["output"], str(made["how"]))


def main(folder: str, part: str) -> None:
    """The process of its own."""
    with np.load(Path(folder) / "in.npz") as given:
        inputs = {name: array.item() if array.ndim == 0 else array for name, array in given.items()}
    made = run("keras", part, inputs)
    how = f"{made.how} {import_module(TENSORFLOW).__version__}"
    np.savez(Path(folder) / "out.npz", weights=made.weights, output=made.output, how=how)


if __name__ == "__main__":
    main(*sys.argv[1:])
