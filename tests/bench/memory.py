"""Peak memory of a fresh process that opens a model, traces a long text, draws a heat map and verifies the trace."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

STEPS = ("open", "trace", "one map", "check")


def measure(names: list[str], lengths: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each step; times in seconds, memory in bytes: resident, the largest while the step ran and after it."""
    for name in names:
        for tokens in lengths:
            command = [sys.executable, "-m", "tests.bench.memory", name, str(tokens)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            yield from (json.loads(line) for line in printed.splitlines() if line.startswith("{"))


def run_steps(name: str, tokens: int) -> None:
    """Run all steps in this process, and print a row for each."""
    made: dict[str, Any] = {}

    def opened() -> None:
        import model
        from tests.bench.texts import text_of_length

        made["lens"] = model.load(name, "cpu")
        made["text"] = text_of_length(made["lens"], tokens)

    def traced() -> None:
        made["trace"] = made["lens"].trace(made["text"])

    def drawn() -> None:
        from viz.figures.heads import head_heatmap
        from viz.figures.theme import LIGHT

        attention = list(made["trace"].attentions.values())[-1]
        head_heatmap(attention, attention.num_layers // 2, 0, LIGHT).to_json()

    def checked() -> None:
        made["check"] = made["trace"].verify()

    largest = 0
    for step, task in zip(STEPS, (opened, traced, drawn, checked), strict=True):
        seconds, peak = measure_task(task)
        largest = max(largest, peak)
        trace = made.get("trace")
        row = {
            "model": name,
            "tokens": 0 if trace is None else len(next(reversed(trace.tokens.values()))),
            "step": step,
            "seconds": seconds,
            "memory at most": peak,
            "memory after": psutil.Process().memory_info().rss,
            "at most so far": largest,
            "check": str(made["check"].ok) if "check" in made else "",
        }
        print(json.dumps(row), flush=True)


def measure_task(task: Callable[[], None]) -> tuple[float, int]:
    """Seconds that a task takes, and its peak resident memory in bytes, sampled a hundred times a second."""
    process, done, peak = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    try:
        task()
    finally:
        seconds = time.perf_counter() - start
        done.set()
        thread.join()
    return seconds, max(peak[0], process.memory_info().rss)


if __name__ == "__main__":
    run_steps(sys.argv[1], int(sys.argv[2]))
