"""How many students one replica and one app server can serve, from the processor time of a student's actions.

    students = UTILIZATION ÷ (time of a sentence ÷ seconds between sentences + time of a head ÷ seconds between heads)

Processor time, not waiting time: other work on the machine makes it a little longer, and nothing more. A replica has
one thread, as Ray gives it, and an app server is bound to about one core by Python; so both offer a second a second.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

import model
from tests.bench.client import Client
from tests.bench.crowd import NUMBERS, sentence
from tests.bench.paging import without_errors
from tests.serving import running

UTILIZATION = 0.7  # share of its time that a server may be busy; above it, waiting times grow quickly
CLASS = 30


@contextmanager
def replica() -> Iterator[tuple[str, psutil.Process]]:
    """A replica without Ray, with one thread for the model; yields its address and process."""
    command = [sys.executable, "-m", "tests.bench.replica"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        yield server.stdout.readline().strip(), psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(20)


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process so far, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def students(sentence_time: float, head_time: float, sentence_every: float, head_every: float) -> int:
    """The number of students that one server can serve; all arguments are in seconds."""
    return math.floor(UTILIZATION / (sentence_time / sentence_every + head_time / head_every))


def measure(names: list[str], times: int, sentence_every: float, head_every: float) -> Iterator[dict[str, Any]]:
    """A row for each model and each kind of server; times in seconds of processor time.

    Args:
        times: how many sentences are typed, and four times as many heads chosen.
        sentence_every, head_every: seconds between two sentences, and two heads, of one student.
    """
    with replica() as (address, computing):
        os.environ["HEADLIGHT_BACKEND"] = address
        try:
            with running("app.py") as (app, pid):
                drawing = psutil.Process(pid)
                for name in names:
                    client = Client(app, model=name, text="A first sentence.")
                    without_errors(client.visit())
                    for warm in range(2):
                        without_errors(client.write("text", f"Warm up {NUMBERS[warm]}."))
                        without_errors(client.choose("head", 1 + warm))
                    heads = next(iter(model.load(name, "cpu").heads.values()))[1]
                    took = {"sentence": [0.0, 0.0], "head": [0.0, 0.0]}
                    for turn in range(times):
                        for action, many in (("sentence", 1), ("head", 4)):
                            before = cpu_seconds(drawing), cpu_seconds(computing)
                            for click in range(many):
                                if action == "sentence":
                                    without_errors(client.write("text", sentence(turn % 100, turn)))
                                else:
                                    without_errors(client.choose("head", (4 * turn + click) % heads))
                            for side, process in enumerate((drawing, computing)):
                                took[action][side] += (cpu_seconds(process) - before[side]) / many / times
                    client.close()
                    for side, server in enumerate(("app server", "replica")):
                        carries = students(took["sentence"][side], took["head"][side], sentence_every, head_every)
                        yield {
                            "model": name,
                            "server": server,
                            "sentence": took["sentence"][side],
                            "every": f"{sentence_every:g} s",
                            "head": took["head"][side],
                            "each": f"{head_every:g} s",
                            "busy": UTILIZATION,
                            "students each": carries,
                            f"for {CLASS} students": math.ceil(CLASS / carries) if carries else "-",
                        }
        finally:
            del os.environ["HEADLIGHT_BACKEND"]
