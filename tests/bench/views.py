"""Time to the first view: of long and short texts beyond the model's own pass, and of `/` beside Heads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch

import model
from tests.bench.client import Client
from tests.bench.computing import bare_forward
from tests.bench.paging import without_errors
from tests.bench.texts import WORDS, text_of_length, token_count
from tests.serving import serve


@torch.inference_mode()
def measure(names: list[str], lengths: list[int], times: int, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length; times in seconds, as in `beyond_forward`.

    Args:
        device: one of `model.catalog.opening.device_choices`.
    """
    with serve() as ours:
        for name in names:
            lens: Any = model.load(name, device)
            warm = Client(ours, model=name, device=device, text="A first sentence.")
            without_errors(warm.visit())
            warm.close()

            def view(wished: int, text: str, name: str = name, lens: Any = lens) -> float:
                client = Client(ours, model=name, device=device, text=text, **forced_output(lens, text))
                drawn = without_errors(client.visit()).drawn
                client.close()
                return drawn

            for row in beyond_forward(name, lens, lengths, times, "first view", view):
                yield {"model": name, "device": device} | row


def whole(names: list[str], lengths: list[int], times: int, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length: the first view of the page "The whole model" beside that of Heads, in turns.

    Each is of a text nobody had read, so that nothing of it is in the server's cache; times in seconds, medians. Of the
    same views another layer is opened, and, where the model writes, another token of the output is followed.

    Raises:
        ValueError: there are fewer texts that begin differently.
    """
    if 2 * times > len(WORDS):
        raise ValueError(f"{2 * times} texts that nobody has read are asked for, {len(WORDS)} can be had")
    with serve() as ours:
        for name in names:
            lens: Any = model.load(name, device)

            def views(page: str, text: str, name: str = name, lens: Any = lens) -> dict[str, float]:
                client = Client(ours, model=name, device=device, text=text, **forced_output(lens, text))
                found = {"first": without_errors(client.visit(page)).drawn}
                if not page:
                    found["layer"] = without_errors(client.open_layer(f"{next(iter(lens.heads))}.2")).drawn
                    if client.has("step"):
                        found["token"] = without_errors(client.slide("step", 2)).drawn
                client.close()
                return found

            for page in ("heads", ""):
                views(page, "A first sentence.")
            for wished in lengths:
                heads: list[float] = []
                pictures: dict[str, list[float]] = {}
                for turn in range(times):
                    heads.append(views("heads", text_of_length(lens, wished, first=2 * turn))["first"])
                    for what, seconds in views("", text_of_length(lens, wished, first=2 * turn + 1)).items():
                        pictures.setdefault(what, []).append(seconds)
                row: dict[str, Any] = {
                    "model": name,
                    "device": device,
                    "tokens": token_count(lens, text_of_length(lens, wished)),
                    "heads": median(heads),
                }
                for what in ("first", "layer", "token"):
                    seconds = median(pictures[what]) if what in pictures else math.nan
                    row |= {f"whole, {what}": seconds, f"{what} ÷ heads": seconds / row["heads"]}
                yield row


def beyond_forward(
    name: str, lens: Any, lengths: list[int], times: int, what: str, wait: Callable[[int, str], float]
) -> Iterator[dict[str, Any]]:
    """A row for each length: seconds that somebody waits, beside the model's own pass, medians of so many new texts.

    All lengths in turns, so that a busy machine is busy for all of them. Each pass is the first with its text, as the
    server's is, on a machine that is awake.

    Args:
        lengths: in tokens; each is divided by the first.
        what: the name of the wait; wait: measures it, for a length and a text.

    Raises:
        ValueError: there are fewer texts that begin differently.
    """
    if times >= len(WORDS):  # the app would know a text already
        raise ValueError(f"{times} texts that nobody has read are asked for, at most {len(WORDS) - 1} can be had")
    forward: dict[int, list[float]] = {wished: [] for wished in lengths}
    waited: dict[int, list[float]] = {wished: [] for wished in lengths}
    awake, _ = bare_forward(name, lens, "A first sentence.")
    for turn in range(times):
        for wished in lengths:
            text = text_of_length(lens, wished, first=turn)
            run, _ = bare_forward(name, lens, text)
            awake()
            start = time.perf_counter()
            run()
            forward[wished].append(time.perf_counter() - start)
            waited[wished].append(wait(wished, text))
    beyond = {wished: median(waited[wished]) - median(forward[wished]) for wished in lengths}
    for wished in lengths:
        yield {
            "tokens": token_count(lens, text_of_length(lens, wished)),
            "forward": median(forward[wished]),
            what: median(waited[wished]),
            "beyond": beyond[wished],
            "÷ the first": beyond[wished] / beyond[lengths[0]],
        }


def forced_output(lens: Any, text: str) -> dict[str, str]:
    """Link parameters that force an encoder-decoder's output: generating it takes a pass for each token."""
    return {"whose": "forced", "target": text} if lens.is_encoder_decoder else {}
