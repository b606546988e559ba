"""A load test: many sessions at once, each typing sentences of its own and switching heads, with pauses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil

import model
from tests.bench.client import Client, heatmap_values
from tests.serving import running

PAUSE, CLICKS = 1.0, 9  # seconds between clicks, and heads to look at before the next sentence
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def sentence(who: int, turn: int) -> str:
    """A sentence that is unique to a student and a turn."""
    return f"We have {NUMBERS[who % 10]} red cars and {NUMBERS[who // 10]} dogs, and I am {turn + 1} years old."


class Student(threading.Thread):
    """One session of the load test.

    Args:
        who: number of the student; until: time at which the session ends; types: whether it types sentences.
        late: seconds before the first action.

    Attributes:
        clicks: seconds from each change of head to its heat map.
        errors: exceptions of the app and of this thread.
        seen: sentence and head -> values of the heat map. [query, key]
    """

    def __init__(self, address: str, who: int, until: float, types: bool, late: float) -> None:
        super().__init__()
        self.address, self.who, self.until, self.types, self.late = address, who, until, types, late
        self.clicks: list[float] = []
        self.errors: list[str] = []
        self.seen: dict[tuple[str, int], np.ndarray] = {}

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.errors.append(repr(error))

    def work(self) -> None:
        time.sleep(self.late)
        client = Client(self.address)
        client.visit()
        turn = 0
        while time.time() < self.until:
            typed = sentence(self.who, turn)
            if self.types:
                self.errors += client.write("text", typed).errors
            for click in range(CLICKS):
                time.sleep(PAUSE)
                head = click % 8
                answer = client.choose("head", head)
                self.clicks.append(answer.mapped)
                self.errors += answer.errors
                if self.types and click == CLICKS - 1:
                    self.seen[typed, head] = heatmap_values(answer.figures["heatmap"])
            turn += 1
        client.close()


def cross_talk(students: list[Student]) -> int:
    """Number of heat maps whose values are not those of the student's own sentence."""
    lens = model.load("en-fr", "cpu")
    mismatches = 0
    for student in students:
        for (typed, head), values in student.seen.items():
            attention = lens.trace(typed).attentions["cross"]
            expected = np.where(attention.mask(0), attention.weights(0)[head], np.nan)
            mismatches += values.shape != expected.shape or not np.allclose(values, expected, atol=1e-5, equal_nan=True)
    return mismatches


def measure(crowds: list[int], minutes: float, together: bool) -> Iterator[dict[str, Any]]:
    """A row for each size of the class and each app; times in seconds, memory in bytes.

    Args:
        together: whether all begin, and so type their sentences, within the same second.
    """
    for count in crowds:
        for script in ("app.py", "tests/bench/floor.py"):
            with running(script) as (address, process):
                first = Client(address)
                first.visit()
                first.close()
                before = psutil.Process(process).memory_info().rss
                until = time.time() + 60 * minutes
                spread = PAUSE if together else PAUSE * CLICKS
                students = [
                    Student(address, who, until, script == "app.py", spread * who / count) for who in range(count)
                ]
                for student in students:
                    student.start()
                for student in students:
                    student.join()
                after = psutil.Process(process).memory_info().rss
            clicks = np.array([seconds for student in students for seconds in student.clicks])
            yield {
                "app": script,
                "sessions": count,
                "clicks": len(clicks),
                "median": float(np.median(clicks)),
                "95 %": float(np.quantile(clicks, 0.95)),
                "errors": sum(len(student.errors) for student in students),
                "first error": next((error for student in students for error in student.errors), ""),
                "maps checked": sum(len(student.seen) for student in students),
                "cross-talk": cross_talk(students),
                "memory growth": after - before,
            }
