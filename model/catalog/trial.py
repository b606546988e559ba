"""A trial of a model that is not of the catalogue: opened, and a text traced, in a process of its own, before it is
opened in a server. What would stop the server stops that process: it has limits of memory and time.

python -m model.catalog.trial NAME BYTES SECONDS     in that process: prints one line of JSON
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.catalog.opening import load_in_process
from model.catalog.store import local_folder
from model.errors import InputError, ModelError
from model.memory.fit import needed_memory
from model.tokenization.limited import check_chat, check_tokenizes
from model.trace.typed_text import TypedText

if TYPE_CHECKING:
    from model.trace.lens import Lens

# Until the trial is stopped: a busy machine takes ten seconds to import the libraries, and half a minute of sound three
# passes through all weights. Its page waits five minutes.
CPU_SECONDS, CPU_SECONDS_A_GIGABYTE, BUSY, LONGEST = 30, 60, 3, 280
LIBRARY_BYTES = 1_000_000_000  # of PyTorch, its kin and a pass; half of that is measured
TEXT = "The red car stopped. " + "".join(map(chr, range(33, 127))) + " äß éà ñ Жя 日本 العربية 😀"
MAX_LETTERS, MAX_REMEMBERED = 100_000, 10_000
_read: set[tuple[str, bool, bytes]] = set()  # folders, and checksums of texts that their tokenizers have read
_passed: set[tuple[Any, ...]] = set()  # folders with the sizes and times of their files
_running: dict[str, subprocess.Popen[str]] = {}
_lock = threading.Lock()


def load_after_trial(name: str, device: str = "auto") -> Lens:
    """A model opened in this process, as `load_in_process`; one that is not of the catalogue passes a trial first.

    Raises:
        ModelError: as `load_in_process`; or the trial took too long ("slow"), too much memory, or was stopped.
    """
    folder = None if name in CATALOG else local_folder(name)
    if folder is not None:
        files = tuple(sorted((file.name, *_stamp(file)) for file in folder.iterdir()))
        if (str(folder), files) not in _passed:
            _try(name, folder)
            _passed.add((str(folder), files))
    return load_in_process(name, device)


def check_texts(name: str, texts: Iterable[object]) -> None:
    """Raise an error for a text that is too long to be cut into tokens, or that stops an unknown tokenizer.

    Args:
        texts: those of them that are no texts are left out.

    Raises:
        InputError: names the number of letters, or says what to do.
    """
    folder = None if name in CATALOG else local_folder(name)
    typed = (text if isinstance(text, TypedText) else TypedText(text) for text in texts if _is_text(text))
    parts = ((part, one.chat) for one in typed for part in (one.text, one.pair) if part is not None)
    for text, chat in parts:
        if len(text) > MAX_LETTERS:
            raise InputError(
                "text_letters",
                f"The text has {len(text)} letters; at most {MAX_LETTERS} are read. Shorten it.",
                letters=len(text),
                allowed=MAX_LETTERS,
            )
        key = (str(folder), chat, hashlib.sha256(text.encode("utf-8", "replace")).digest())
        if folder is not None and key not in _read:
            (check_chat if chat else check_tokenizes)(folder, text)
            if len(_read) >= MAX_REMEMBERED:
                _read.clear()
            _read.add(key)


def _is_text(given: object) -> TypeGuard[str | TypedText]:
    return isinstance(given, (str, TypedText))


def stop_trial(name: str) -> None:
    """Stop the trial of a model that nobody waits for any more; its opening ends with an error."""
    with _lock:
        process = _running.get(name)
    if process is not None:
        process.kill()


def time_allowed(needed: int) -> tuple[int, int]:
    """Seconds of a core that a trial may take, and seconds until it is stopped. needed: bytes of the model's weights"""
    computing = CPU_SECONDS + round(CPU_SECONDS_A_GIGABYTE * needed / 1e9)
    return min(computing, LONGEST), min(BUSY * computing, LONGEST)


def _too_slow(name: str) -> ModelError:
    return ModelError("slow", f"{name!r} took too long to open, so it was stopped. Pick another model.")


def _stamp(file: Path) -> tuple[int, int]:
    with suppress(OSError):
        found = file.stat()
        return found.st_size, found.st_mtime_ns
    return 0, 0


def _try(name: str, folder: Path) -> None:
    """Raise the error of a trial, or one that says how it ended.

    Raises:
        ModelError: the model was not opened.
    """
    needed = needed_memory(folder)  # whether there is so much was looked at before
    computing, waiting = time_allowed(needed)
    most = LIBRARY_BYTES + 3 * needed
    command = [sys.executable, "-m", "model.catalog.trial", name, str(most), str(computing)]
    settings = os.environ | {"PYTHONPATH": str(ASSETS.parent), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=settings, cwd=ASSETS.parent, text=True
    )
    with _lock:
        _running[name] = process
    try:
        said, _ = process.communicate(timeout=waiting)
    except subprocess.TimeoutExpired as error:
        raise _too_slow(name) from error
    finally:
        process.kill()
        process.wait()
        with _lock:
            del _running[name]
    try:
        verdict = json.loads(said.strip().rpartition("\n")[2])
    except ValueError as error:
        if process.returncode == -signal.SIGXCPU:
            raise _too_slow(name) from error
        raise ModelError(
            "not_transformer",
            f"{name!r} is here, but the process that tried it was stopped: it took more memory than its files "
            f"call for. Pick another model, or save its files again.",
        ) from error
    if verdict:
        raise ModelError(verdict["reason"], verdict["message"])


def main() -> None:
    import resource

    name, most, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # at the second one it is killed without a reason
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)  # who uses the server goes first
    verdict = {}
    try:
        lens = load_in_process(name, "cpu")
        if lens.takes == "text":
            with suppress(InputError):  # a model of few words or tokens
                lens.trace(TEXT, "" if lens.writes and not lens.is_encoder_decoder else None)
    except ModelError as error:
        verdict = {"reason": error.reason, "message": str(error)}
    except Exception as error:
        verdict = {
            "reason": "memory" if isinstance(error, MemoryError) else "not_transformer",
            "message": f"{name!r} was opened, but could not read a sentence that was tried.",
        }
    print(json.dumps(verdict), flush=True)
    os._exit(0)  # nothing of it is needed any more


if __name__ == "__main__":
    main()
