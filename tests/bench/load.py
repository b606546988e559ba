"""A load run, by hand: a class reads long texts with one model while a bystander works with another.

The app is served on this computer alone, and the run ends after the minutes that were asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import psutil

from tests.bench import client as protocol
from tests.bench.client import Client
from tests.bench.crowd import NUMBERS, sentence
from tests.serving import running

WORDS = ("old", "garden", "bird", "red", "car", "stopped", "near", "dog", "road", "window", "small", "river")
PAUSE = 2.0  # seconds between two clicks


def long_text(who: int, turn: int, words: int) -> str:
    """A text of so many words that is unique to a student and a turn."""
    start = f"{NUMBERS[who % 10]} {NUMBERS[who // 10 % 10]} {NUMBERS[turn % 10]}".split()
    rng = np.random.default_rng([who, turn])
    return " ".join([*start, *(WORDS[i] for i in rng.integers(len(WORDS), size=words - len(start)))])


class Session(threading.Thread):
    """One browser: it types, looks at some heads, and types again, until the time is over.

    Attributes:
        typed, clicks: seconds from each text, and from each change of head, to the large map.
        errors: exceptions of the app, sentences of its guard, and exceptions of this thread.
    """

    def __init__(
        self, address: str, who: int, until: float, late: float, words: int, clicks: int, **query: str
    ) -> None:
        super().__init__()
        self.address, self.who, self.until, self.late, self.words, self.looks = address, who, until, late, words, clicks
        self.query = query
        self.typed: list[float] = []
        self.clicks: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.errors.append(repr(error))

    def work(self) -> None:
        time.sleep(self.late)
        client = Client(self.address, **self.query)
        client.visit()
        turn = 0
        while time.time() < self.until:
            text = long_text(self.who, turn, self.words) if self.words else sentence(self.who % 100, turn)
            answer = client.write("text", text)
            self.typed.append(answer.mapped or answer.seconds)
            self.errors += answer.errors
            for look in range(self.looks):
                if time.time() > self.until:
                    break
                time.sleep(PAUSE)
                answer = client.choose("head", look % 8)
                self.clicks.append(answer.mapped or answer.seconds)
                self.errors += answer.errors
            turn += 1
        client.close()


class Memory(threading.Thread):
    """The largest resident size of a process with those that it starts, until it is told to stop."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.most, self.over = psutil.Process(process), 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            size = 0
            for one in (self.process, *self.process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):  # it has ended
                    size += one.memory_info().rss
            self.most = max(self.most, size)


def measure(crowds: list[int], minutes: float, model: str, words: int) -> Iterator[dict[str, Any]]:
    """A row for each size of the class; times in seconds, memory in bytes."""
    protocol.TIMEOUT = 300.0  # thirty long texts one after another
    for count in crowds:
        with running("app.py") as (address, process):
            for name in (model, "en-fr"):
                first = Client(address, model=name)
                first.visit()
                first.close()
            before = psutil.Process(process).memory_info().rss
            memory = Memory(process)
            memory.start()
            until = time.time() + 60 * minutes
            spread = 10.0 / max(count, 1)
            students = [Session(address, who, until, spread * who, words, 6, model=model) for who in range(count)]
            bystander = Session(address, 99, until, 1.0, 0, 9, model="en-fr")
            for one in (*students, bystander):
                one.start()
            for one in (*students, bystander):
                one.join()
            memory.over.set()
            after = psutil.Process(process).memory_info().rss
        texts = [seconds for one in students for seconds in one.typed]
        errors = [error for one in (*students, bystander) for error in one.errors]
        yield {
            "model": model,
            "sessions": count,
            "words": words,
            "texts": len(texts),
            "text, median": float(np.median(texts)) if texts else 0.0,
            "heads, median": float(np.median([seconds for one in students for seconds in one.clicks] or [0])),
            "clicks": sum(len(one.clicks) for one in students),
            "bystander's heads, median": float(np.median(bystander.clicks or [0])),
            "95 % of them": float(np.quantile(bystander.clicks or [0], 0.95)),
            "longest": max(bystander.clicks, default=0.0),
            "clicks of the bystander": len(bystander.clicks),
            "bystander's sentences, median": float(np.median(bystander.typed or [0])),
            "longest sentence": max(bystander.typed, default=0.0),
            "errors": len(errors),
            "first error": next(iter(errors), ""),
            "memory before": before,
            "most": memory.most,
            "growth at the end": after - before,
            "load of the machine": psutil.getloadavg()[0],
        }
