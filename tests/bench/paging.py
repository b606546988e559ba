"""Time on the server and bytes over the websocket: first view, another head, another layer, another page."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

import model
from tests.bench.client import Answer, Client, cells
from tests.bench.computing import LENGTHS
from tests.bench.texts import length, text_of
from tests.serving import serve


def sound(answer: Answer) -> Answer:
    """The answer itself.

    Raises:
        RuntimeError: the page raised an exception.
    """
    if answer.errors:
        raise RuntimeError("; ".join(answer.errors))
    return answer


def measure(names: list[str], times: int, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length; times in seconds, medians of so many clicks.

    Args:
        device: one of `model.catalog.opening.places`.
    """
    with serve() as ours, serve("tests/bench/floor.py") as floor:
        for name in names:
            lens: Any = model.load(name, device)
            warm = Client(ours, model=name, device=device, text="A first sentence.")
            sound(warm.visit())
            warm.close()
            for wished in LENGTHS[name]:
                if wished > 512:
                    continue
                text = text_of(lens, wished)
                client, least = (
                    Client(ours, model=name, device=device, text=text),
                    Client(floor, size=str(length(lens, text))),
                )
                first = sound(client.visit())
                sound(least.visit())
                heads, layers, bar = [], [], []
                for turn in range(times):
                    heads.append(sound(client.choose("head", 1 + turn % 2)))
                    bar.append(sound(least.choose("head", 1 + turn % 2)))
                    layers.append(sound(client.choose("layer", 1 + turn % 2)))
                page = sound(client.visit("layers"))
                drawn = cells(first.figures["heatmap"]).size
                client.close(), least.close()
                yield {
                    "model": name,
                    "device": device,
                    "tokens": length(lens, text),
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
