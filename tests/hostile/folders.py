"""Builders of hostile model folders, and the sentence with which one is refused within the limits of a class."""

from __future__ import annotations

import json
import resource
import struct
import time
from pathlib import Path
from typing import Any

import pytest

import model
from model.catalog.opening import check_model_fits
from model.errors import ModelError

SECONDS, GIGABYTE = 10, 2**30


def write_config(folder: Path, **sizes: Any) -> Path:
    """The folder with a config.json of these sizes."""
    (folder / "config.json").write_text(json.dumps(sizes))
    return folder


def write_weights(file: Path, header: bytes | None = None, claimed: int | None = None) -> None:
    """Write a safetensors file. header: JSON, none by default; claimed: its length as the file says it"""
    header = b"{}" if header is None else header
    file.write_bytes(struct.pack("<Q", len(header) if claimed is None else claimed) + header)


def refusal(folder: Path) -> ModelError:
    """The error with which a folder is refused: quickly, without a gigabyte, and without a path of this machine."""
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError) as caught:
        model.load(str(folder), "cpu")
    assert time.process_time() - begun < SECONDS
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < GIGABYTE
    said = str(caught.value)
    assert said.endswith(".")
    assert len(said) < 1000
    # The name is what was typed; nothing else says where on the disk anything lies.
    assert str(folder.parent) not in said.replace(repr(str(folder)), "")
    return caught.value


def check_refusal(folder: Path) -> None:
    """Ask the memory check about a folder, which comes before it is opened; only a sentence may come of it."""
    said = ""
    try:
        check_model_fits(str(folder))
    except ModelError as error:
        said = str(error)
    assert str(folder) not in said
