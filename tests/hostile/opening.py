"""Opens folders, each in a child process with limits of memory and time: `python -m tests.hostile.opening FOLDER...`.

Prints a line of JSON for each: how it ended, what was said, seconds, and the largest resident size.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import torch  # imported once: the children have it by the fork
import transformers

import model
from model.errors import InputError, ModelError
from model.huggingface.text_model import TextModel
from model.huggingface.vision.vision_model import VisionModel
from model.tokenization.limited import check_chat

SECONDS, GIGABYTE = 11, 2**30  # more than any folder may take that is not stopped (`test_kinds.py`)
assert torch.__version__
assert transformers.__version__
assert TextModel is not VisionModel


def open_one(folder: str) -> dict[str, object]:
    """How the opening of a folder ends, and a sentence that it reads where it opens."""
    try:
        lens = model.load(folder, "cpu")
        with contextlib.suppress(InputError):
            if lens.takes == "text":
                nothing = "" if lens.writes and not lens.is_encoder_decoder else None
                lens.trace("A quick cat.", nothing)
                if lens.choices.chat:
                    check_chat(Path(folder), "A quick cat.")  # as the server does before the pass
                    lens.trace("A quick cat.", nothing, chat=True)
    except ModelError as error:
        return {"ended": "refused", "said": str(error)}
    except Exception as error:
        return {"ended": "failed", "said": f"{type(error).__name__}: {error}"}
    return {"ended": "opened", "said": ""}


def main() -> None:
    for folder in sys.argv[1:]:
        begun = time.monotonic()
        ends, into = os.pipe()
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_DATA, (2 * GIGABYTE, 2 * GIGABYTE))
            os.write(into, json.dumps(open_one(folder)).encode()[:60_000])
            os._exit(0)
        os.close(into)
        with os.fdopen(ends, "rb") as pipe:
            said = pipe.read()
        _, status, used = os.wait4(child, 0)
        result = json.loads(said) if said else {"ended": "stopped", "said": f"status {status}"}
        seconds = used.ru_utime + used.ru_stime
        print(
            json.dumps(result | {"seconds": seconds, "waited": time.monotonic() - begun, "most": 1024 * used.ru_maxrss})
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
