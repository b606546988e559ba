"""Whether a tokenizer reads a text within limits of time and memory, tried in a process of its own.

A normalizer that doubles letters, or a pattern that goes through a text in exponential time, stops that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from model.errors import InputError

CPU_SECONDS, SECONDS, BYTES = 8, 30, 1_500_000_000  # for a file of tokens and one text; a busy machine takes longer
ENCODING_SECONDS = 1.0
# In that process only the tokenizers' own library is imported, which takes a tenth of a second.
SCRIPT = f"""
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
text = sys.stdin.buffer.read().decode("utf-8", "replace")
begun = time.process_time()
tokenizer.encode(text)
print(time.process_time() - begun, flush=True)
os._exit(0)
"""
# The library renders chat templates, and takes seconds to be imported.
CHAT_CPU_SECONDS, CHAT_SECONDS = 30, 90
CHAT_SCRIPT = f"""
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({CHAT_CPU_SECONDS}, {CHAT_CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], local_files_only=True, trust_remote_code=False)
text = sys.stdin.buffer.read().decode("utf-8", "replace")
begun = time.process_time()
try:
    turn = tokenizer.apply_chat_template(
        [{{"role": "user", "content": text}}], tokenize=False, add_generation_prompt=True
    )
    tokenizer(turn)
except Exception:
    pass  # is said where it is used
print(time.process_time() - begun, flush=True)
os._exit(0)
"""


def check_chat(folder: Path, text: str) -> None:
    """As `check_tokenizes`, of a text as a turn of the chat template: it can loop, or write without end."""
    _check(CHAT_SCRIPT, folder, text, CHAT_SECONDS)


def check_tokenizes(folder: Path, text: str) -> None:
    """Raise an error where the tokenizer of a folder does not read a text in a second of one core.

    Nothing is tried where the folder has no `tokenizer.json`: the other tokenizers run no patterns of their own.

    Raises:
        InputError: it takes too long or too much memory ("tokenizer_stuck").
    """
    file = folder / "tokenizer.json"
    if text and file.is_file():
        _check(SCRIPT, file, text, SECONDS)


def _check(script: str, place: Path, text: str, seconds: float) -> None:
    """Run a script on a place and a text; raise an error where it is stopped, or takes too long.

    Raises:
        InputError: "tokenizer_stuck".
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script, str(place)],
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            timeout=seconds,
            check=True,
        )
        needed = float(ended.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise _stuck() from error
    if needed > ENCODING_SECONDS:
        raise _stuck()


def _stuck() -> InputError:
    return InputError(
        "tokenizer_stuck",
        "The tokenizer of this model takes too much time or memory for this text: shorten it, or pick another model.",
    )
