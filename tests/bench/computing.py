"""Cost of tracing relative to a bare forward pass, memory of a trace, and cost of its maps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import torch

import model
from tests.bench.texts import text_of_length, token_count
from viz.figures.heads import head_thumbnails
from viz.figures.theme import LIGHT

LENGTHS = {
    "en-fr": (16, 64, 128, 256, 512),
    "minilm": (16, 64, 128, 256, 512),
    "smollm2": (16, 64, 128, 256, 512, 2048),
}


def shortest_times(*tasks: Callable[[], object], seconds: float = 4.0) -> list[float]:
    """The shortest time of each task in seconds; tasks run in turns, so load on the machine affects all of them."""
    best = [float("inf")] * len(tasks)
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for number, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            best[number] = min(best[number], time.perf_counter() - start)
        rounds += 1
    return best


def bare_forward(name: str, lens: Any, text: str) -> tuple[Callable[[], object], Any]:
    """A forward pass through PyTorch's fused attention without recording, and the target to force in the trace."""
    if name == "en-fr":
        source = lens._pad([[*lens._encode(text, "text").ids, lens.config.eos]])
        target = source[0, :-1].tolist()
        fed = lens._pad([[lens.config.bos, *target]])
        return lambda: lens.module(source, fed), target
    module = library_model(name, lens.writes, lens.device, lens.dtype)
    inputs = lens.tokenizer(text, return_tensors="pt").to(lens.device)
    return lambda: module(**inputs, use_cache=False), "" if lens.writes else None


@cache
def library_model(name: str, writes: bool, device: str, dtype: str) -> Any:
    """A model as transformers opens it."""
    from transformers import AutoModel, AutoModelForCausalLM

    from model.catalog.fetching import find_or_fetch

    folder = find_or_fetch(name, lambda share, what: None)
    number: Any = getattr(torch, dtype)
    opener = AutoModelForCausalLM if writes else AutoModel
    return opener.from_pretrained(folder, attn_implementation="sdpa", dtype=number).to(device).eval()


@torch.inference_mode()
def measure(names: list[str], seconds: float, device: str) -> Iterator[dict[str, Any]]:
    """A row for each model and length; times in seconds, memory in bytes.

    Args:
        device: one of `model.catalog.opening.device_choices`.
    """
    for name in names:
        lens: Any = model.load(name, device)
        before = (0, 0)
        for wished in LENGTHS[name]:
            text = text_of_length(lens, wished)
            run, target = bare_forward(name, lens, text)
            forward, tracing = shortest_times(run, partial(lens.trace, text, target), seconds=seconds)
            trace = lens.trace(text, target)
            kind = "cross" if "cross" in trace.attentions else next(iter(trace.attentions))
            attention = trace.attentions[kind]
            q, k, allowed = (
                torch.tensor(one(0), device=lens.device) for one in (attention.query, attention.key, attention.mask)
            )
            scale = attention.scale(0)

            def plain(q: Any = q, k: Any = k, allowed: Any = allowed, scale: float = scale) -> Any:
                return (q @ k.mT * scale).masked_fill(~allowed, -torch.inf).softmax(-1).cpu().numpy()

            layer, product = shortest_times(lambda one=attention: one.weights(0), plain, seconds=seconds / 4)
            (picture,) = shortest_times(lambda one=attention: head_thumbnails(one, LIGHT), seconds=seconds / 8)
            tokens = token_count(lens, text)
            yield {
                "model": name,
                "device": device,
                "tokens": tokens,
                "forward": forward,
                "trace ÷ forward": tracing / forward,
                "trace bytes": trace.nbytes,
                "bytes a token since the row above": (trace.nbytes - before[1]) / (tokens - before[0]),
                "layer": layer,
                "layer ÷ plain torch": layer / product,
                "all heads": picture,
            }
            before = (tokens, trace.nbytes)
