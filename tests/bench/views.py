"""The first view of a long text beside that of a short one, beyond what the model itself takes for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import torch

import model
from tests.bench.client import Client
from tests.bench.computing import bare
from tests.bench.paging import sound
from tests.bench.texts import length, text_of
from tests.serving import serve


@torch.inference_mode()
def measure(names: list[str], lengths: list[int], times: int, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length; times in seconds, medians of so many texts that nobody had read before.

    All lengths in turns, so that a busy machine is busy for all of them. Each pass is the first with its text, as the
    server's is, on a machine that is awake. An encoder-decoder's output is forced: writing one takes as many passes as
    it has tokens.

    Args:
        lengths: in tokens; each is divided by the first.
        device: one of `model.catalog.places`.
    """
    with serve() as ours:
        for name in names:
            lens: Any = model.load(name, device)
            warm = Client(ours, model=name, device=device, text="A first sentence.")
            sound(warm.visit())
            warm.close()
            forward: dict[int, list[float]] = {wished: [] for wished in lengths}
            view: dict[int, list[float]] = {wished: [] for wished in lengths}
            awake, _ = bare(name, lens, "A first sentence.")
            for turn in range(times):
                for wished in lengths:
                    text = text_of(lens, wished, first=turn)
                    run, _ = bare(name, lens, text)
                    awake()
                    start = time.perf_counter()
                    run()
                    forward[wished].append(time.perf_counter() - start)
                    forced = {"whose": "forced", "target": text} if lens.is_pair else {}
                    client = Client(ours, model=name, device=device, text=text, **forced)
                    view[wished].append(sound(client.visit()).drawn)
                    client.close()
            beyond = {wished: median(view[wished]) - median(forward[wished]) for wished in lengths}
            for wished in lengths:
                yield {
                    "model": name,
                    "device": device,
                    "tokens": length(lens, text_of(lens, wished)),
                    "forward": median(forward[wished]),
                    "first view": median(view[wished]),
                    "beyond": beyond[wished],
                    "÷ the first": beyond[wished] / beyond[lengths[0]],
                }
