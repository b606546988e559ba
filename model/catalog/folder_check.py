"""Refusal of model folders that lead out of themselves or hold what cannot be read as a file; nothing is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model.errors import ModelError
from model.memory.weight_headers import DAMAGED, is_regular, read_header, refuse

# Of vocabularies and indexes, and of all other settings: 200,000 labels of classes, or 25,000 added tokens.
MAX_JSON_BYTES, MAX_SETTINGS_BYTES = 100_000_000, 4_000_000
MAX_NESTING = 29  # of lists and objects inside each other
# What the libraries read from a folder; other entries are never opened.
READ_SUFFIXES = (".json", ".txt", ".model", ".spm", ".safetensors", ".bin", ".jinja", ".vocab", ".bpe", ".tiktoken")
WEIGHT_SUFFIXES = (".safetensors", ".bin")


def check_folder(folder: Path) -> None:
    """Raise an error where a model's folder is not safe to read.

    Every file that a library would read is a regular file that lies inside the folder, or is a link of the hub's cache
    to its own store; shard indexes name such files only; headers of safetensors files are plausible.

    Args:
        folder: with the model's files, or with those of an adapter.

    Raises:
        ModelError: "not_transformer"; the message names the file inside the folder, and nothing outside of it.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.name.endswith(READ_SUFFIXES))
    except OSError as error:
        raise refuse("The folder cannot be read.") from error
    for file in files:
        check_place(file)
        large = file.name == "tokenizer.json" or "vocab" in file.name or ".index." in file.name
        most = MAX_JSON_BYTES if large else MAX_SETTINGS_BYTES
        if file.suffix == ".json" and file.stat().st_size > most:
            raise refuse(f"{file.name} is larger than {most // 10**6} MB, so it was not read.")
    names = {file.name for file in files}
    for file in files:
        if file.suffix == ".safetensors":
            read_header(file)
        elif ".index." in file.name and file.suffix == ".json":
            _check_index(file, names)


def read_json(file: Path) -> dict[str, Any]:
    """The content of a JSON file that holds an object.

    Raises:
        ModelError: it cannot be read, is no JSON object, is nested too deeply, or has a number of over 100 digits.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_int=_parse_int)
    except OSError as error:
        raise refuse(f"{file.name} cannot be read.") from error
    except RecursionError as error:
        raise refuse(f"{file.name} is nested too deeply to be read.") from error
    except ModelError as error:
        raise refuse(f"{file.name} {error}") from error
    except ValueError as error:
        raise refuse(f"{file.name} is damaged: it is no JSON.", DAMAGED) from error
    if not isinstance(content, dict):
        raise refuse(f"{file.name} is damaged: it holds no JSON object.", DAMAGED)
    if _deeper(content, MAX_NESTING):
        raise refuse(f"{file.name} is nested too deeply to be read.")
    return content


def _deeper(content: object, most: int) -> bool:
    """Whether lists and objects stand in each other more than so many deep; Python 3.13 reads thousands."""
    level = [content]
    for _ in range(most):
        level = [
            part
            for one in level
            if isinstance(one, list | dict)
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, list | dict)
        ]
    return bool(level)


def _parse_int(digits: str) -> int:
    if len(digits) > 100:
        raise refuse("holds a number of more than 100 digits, so it was not read.")
    return int(digits)


def check_plain_name(file: Path, name: object) -> None:
    """Raise an error where a name that stands in a file is more than the name of a file beside it.

    Raises:
        ModelError: it is no text, is empty, or has a path in it; whether that path exists is not looked at.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0:")
    if not plain:
        raise refuse(f"{file.name} names a file outside of its folder, so nothing was opened.")


def check_place(file: Path) -> None:
    """Raise an error where a file is not regular, or is a link out of its folder, whether or not to anything.

    Raises:
        ModelError: the message names the file only.
    """
    folder = file.parent.resolve()
    roots = [folder]
    if folder.parent.name == "snapshots":  # the hub's cache: links to files named by their checksum
        roots.append((folder.parent.parent / "blobs").resolve())
    try:
        target = file.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, up to Python 3.12
        raise refuse(f"{file.name} is no regular file, so it was not opened.") from error
    if not any(target.is_relative_to(root) for root in roots):
        raise refuse(f"{file.name} is a link that leads out of its folder, so it was not opened. Put a copy there.")
    if not is_regular(file):
        raise refuse(f"{file.name} is no regular file, so it was not opened.")


def _check_index(file: Path, names: set[str]) -> None:
    """Raise an error where a shard index names anything but weights beside it."""
    shards = read_json(file).get("weight_map")
    if not isinstance(shards, dict):
        raise refuse(f"{file.name} is damaged: it has no weight_map.", DAMAGED)
    for name in dict.fromkeys(map(_hashable, shards.values())):
        check_plain_name(file, name)
        if name not in names or not str(name).endswith(WEIGHT_SUFFIXES):
            raise refuse(f"{file.name} names weights that are not in the folder.")


def _hashable(value: object) -> object:
    return value if isinstance(value, str) else None
