"""Every class of the installed library, small and random: opened, traced and compared with the library's own run.

    python -m tests.sweep                       all, minutes to an hour on one core; goes on where it was stopped
    python -m tests.sweep --tasks causal masked --only gemma
    python -m tests.sweep --table               write docs/FAMILIES.md from what is there

Each class runs in a child process with limits of time and memory. Results are kept in a file, a line for each class.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
warnings.filterwarnings("ignore")

import transformers  # noqa: E402
from transformers.models.auto import modeling_auto  # noqa: E402

from model.huggingface.sound.sound_model import SoundModel  # noqa: E402,F401
from model.huggingface.text_model import TextModel  # noqa: E402,F401  (imported once, before the processes part)
from model.huggingface.vision.vision_model import VisionModel  # noqa: E402,F401
from tests.sweep.one_class import ERROR, Outcome, examine  # noqa: E402
from tests.sweep.table import write_table  # noqa: E402

SECONDS, MEMORY = 60, 4_000_000_000  # of one class
TASKS = {
    "causal": "MODEL_FOR_CAUSAL_LM",
    "masked": "MODEL_FOR_MASKED_LM",
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM",
    "image": "MODEL_FOR_IMAGE_CLASSIFICATION",
    "video": "MODEL_FOR_VIDEO_CLASSIFICATION",
    "zero-shot": "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION",
    "multimodal": "MODEL_FOR_IMAGE_TEXT_TO_TEXT",
    "speech": "MODEL_FOR_SPEECH_SEQ_2_SEQ",
    "text-encoder": "MODEL_FOR_TEXT_ENCODING",
    "sequence": "MODEL_FOR_SEQUENCE_CLASSIFICATION",
    "token": "MODEL_FOR_TOKEN_CLASSIFICATION",
    "question": "MODEL_FOR_QUESTION_ANSWERING",
    "base": "MODEL",
}


def classes(tasks: list[str]) -> Iterator[tuple[str, str, str]]:
    """Class, model type and task of every class that the library maps to one of the tasks, each class once."""
    seen: set[str] = set()
    for task in tasks:
        for kind, found in getattr(modeling_auto, f"{TASKS[task]}_MAPPING_NAMES").items():
            for name in found if isinstance(found, (tuple, list)) else (found,):
                if name not in seen and hasattr(transformers, name):
                    seen.add(name)
                    yield name, kind, task


def examine_apart(name: str, kind: str, task: str) -> Outcome:
    """As `examine`, in a child process; one that dies or takes too long is an error."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(SECONDS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1), os.dup2(silent, 2)
        with tempfile.TemporaryDirectory() as folder, os.fdopen(writing, "w") as out:
            try:
                json.dump(examine(name, kind, task, Path(folder)).row(), out)
            except BaseException as error:
                json.dump(Outcome(name, kind, task, ERROR, f"{type(error).__name__}: {error}").row(), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    if not text:
        return Outcome(name, kind, task, ERROR, f"ended by signal {os.waitstatus_to_exitcode(status)}")
    return Outcome(**json.loads(text))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--only", default="", help="a regular expression on class names")
    parser.add_argument("--again", action="store_true", help="also classes that have a result")
    parser.add_argument("--results", type=Path, default=Path("sweep.jsonl"))
    parser.add_argument("--table", action="store_true", help="write docs/FAMILIES.md, and examine nothing")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    lines = args.results.read_text().splitlines() if args.results.exists() else []
    results = {row["name"]: row for row in map(json.loads, lines)}
    if args.table:
        write_table(Path("docs/FAMILIES.md"), [Outcome(**row) for row in results.values()], transformers.__version__)
        return
    with args.results.open("a") as out:
        for name, kind, task in classes(args.tasks):
            if re.search(args.only, name) and (args.again or name not in results):
                outcome = examine_apart(name, kind, task)
                print(f"{outcome.verdict:13}{name:45}{outcome.weights:9.1e}{outcome.answer:9.1e} {outcome.why}"[:260])
                print(json.dumps(outcome.row()), file=out, flush=True)


if __name__ == "__main__":
    main()
