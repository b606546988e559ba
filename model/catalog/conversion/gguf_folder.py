"""Folders that our loading code opens, made once out of GGUF files on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from model.catalog.config_bounds import check_config
from model.catalog.folder_check import check_place
from model.catalog.store import download_folder
from model.errors import ModelError, disk_error, disk_error_behind
from model.memory.fit import check_memory_fits, format_bytes
from model.memory.gguf_header import gguf_parameters
from model.memory.weight_headers import refuse

LIBRARIES = ("gguf", "accelerate")
READING = 2  # a folder that was made when files were read otherwise is made again


def folder_of_gguf(name: str, file: Path) -> Path:
    """The folder with the weights of a GGUF file as plain safetensors, made where it is not there yet.

    Args:
        name: of the model, for messages; file: the GGUF file.

    Raises:
        ModelError: the file's header is damaged, it is one of several parts, a library is missing ("not_transformer"),
            or the model fits neither into memory ("memory", "too_large") nor onto the disk ("disk").
    """
    check_place(file)
    if "-of-0" in file.name:
        raise refuse(f"{file.name} is one of several parts. Merge them into one file (llama-gguf-split --merge).")
    needed = 4 * gguf_parameters(file)
    check_memory_fits(name, file)
    status = file.stat()
    made_of = f"{file.resolve()} {status.st_size} {status.st_mtime_ns} {READING}"
    key = hashlib.sha256(made_of.encode()).hexdigest()[:32]
    target = download_folder() / "gguf" / key
    if (target / "config.json").is_file():
        return target
    missing = [library for library in LIBRARIES if importlib.util.find_spec(library) is None]
    if missing:
        raise refuse(f"To read GGUF files, install what is missing: pip install {' '.join(missing)}.")
    parts = _working_folder(name, target.parent, needed)
    try:
        _convert(file, parts)
    except BaseException as error:
        if full := disk_error_behind(error):
            raise full from error
        raise
    else:
        with suppress(OSError):  # another program here was faster
            parts.rename(target)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return target


def _working_folder(name: str, parent: Path, needed: int) -> Path:
    """A new folder inside `parent`, where so many bytes fit.

    Raises:
        ModelError: "disk".
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise ModelError(
                "disk", f"{name} takes {format_bytes(needed)} on the disk, and {format_bytes(free)} are free."
            )
        return Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise disk_error(error) from error


def _convert(file: Path, target: Path) -> None:
    """Check the sizes that a GGUF file's header describes, then write its weights, settings and tokenizer."""
    import torch
    from transformers import AutoConfig

    from model.catalog.conversion.converters import convert_gguf

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    (target / "config.json").write_text(json.dumps(config.to_dict(), default=str), encoding="utf-8")
    check_config(target)
    convert_gguf(file, target, torch.float32)
