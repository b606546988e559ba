"""Server time and websocket bytes of the first view and of a change of head, layer and page."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

import model
from tests.bench.client import Client, ScriptRun, heatmap_values
from tests.bench.computing import LENGTHS
from tests.bench.texts import text_of_length, token_count
from tests.serving import serve


def without_errors(run: ScriptRun) -> ScriptRun:
    """The run itself, if it had no exceptions.

    Raises:
        RuntimeError: the page raised an exception.
    """
    if run.errors:
        raise RuntimeError("; ".join(run.errors))
    return run


def measure(names: list[str], times: int, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length; times in seconds, medians of so many clicks.

    Args:
        device: one of `model.catalog.opening.device_choices`.
    """
    with serve() as ours, serve("tests/bench/floor.py") as floor:
        for name in names:
            lens: Any = model.load(name, device)
            warm = Client(ours, model=name, device=device, text="A first sentence.")
            without_errors(warm.visit())
            warm.close()
            for wished in LENGTHS[name]:
                if wished > 512:
                    continue
                text = text_of_length(lens, wished)
                client, least = (
                    Client(ours, model=name, device=device, text=text),
                    Client(floor, size=str(token_count(lens, text))),
                )
                first = without_errors(client.visit())
                without_errors(least.visit())
                heads, layers, bar = [], [], []
                for turn in range(times):
                    heads.append(without_errors(client.choose("head", 1 + turn % 2)))
                    bar.append(without_errors(least.choose("head", 1 + turn % 2)))
                    layers.append(without_errors(client.choose("layer", 1 + turn % 2)))
                page = without_errors(client.visit("layers"))
                drawn = heatmap_values(first.figures["heatmap"]).size
                client.close(), least.close()
                yield {
                    "model": name,
                    "device": device,
                    "tokens": token_count(lens, text),
                    "first view": first.drawn,
                    "with its check": first.seconds,
                    "its bytes": first.bytes,
                    "head": median(one.mapped for one in heads),
                    "head bytes": max(one.bytes for one in heads),
                    "allowed bytes": 64 * 1024 + 4 * drawn,
                    "layer": median(one.mapped for one in layers),
                    "layer bytes": max(one.bytes for one in layers),
                    "floor": median(one.mapped for one in bar),
                    "floor bytes": max(one.bytes for one in bar),
                    "page": page.seconds,
                    "page bytes": page.bytes,
                }
