"""Recurrent layers beside an attention layer: time, sequential steps and path length by text length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.attention.formula import attention
from model.positions.sinusoidal import sinusoidal

D_MODEL, NUM_HEADS = 256, 8  # as in the bundled model
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
NAMES = ("rnn", "lstm", "lstm_whole", "attention")

# For each call of a layer's cell: the earlier calls whose state it needs, and the tokens that it reads itself.
Dependencies = list[tuple[tuple[int, ...], tuple[int, ...]]]
LayerFunction = Callable[[Tensor], tuple[Tensor, Dependencies]]


@dataclass(frozen=True)
class LayerTiming:
    """One layer run on one text.

    Attributes:
        name: one of `NAMES`; length: in tokens.
        steps: calls that must run one after another.
        path: calls between the first token and the result at the last token (maximum path length, Vaswani et al. 2017,
            table 1).
        seconds: shortest time of several runs.
    """

    name: str
    length: int
    steps: int
    path: int
    seconds: float


def build_layers() -> dict[str, LayerFunction]:
    """A randomly initialized layer for each of `NAMES`, as a function of the tokens. [token, d_model]

    Each returns its outputs [token, d_model] and the dependencies of its calls.
    """
    rnn, lstm = nn.RNN(D_MODEL, D_MODEL), nn.LSTM(D_MODEL, D_MODEL)
    w_q, w_k, w_v, w_o = (nn.Linear(D_MODEL, D_MODEL) for _ in range(4))

    def step_by_step(cell: nn.RNN | nn.LSTM) -> LayerFunction:
        def run(tokens: Tensor) -> tuple[Tensor, Dependencies]:
            state, outputs = None, []
            dependencies: Dependencies = []
            for position, token in enumerate(tokens):
                output, state = cell(token[None], state)
                dependencies.append(((position - 1,) if position else (), (position,)))
                outputs.append(output)
            return torch.cat(outputs), dependencies

        return run

    def in_one_call(tokens: Tensor) -> tuple[Tensor, Dependencies]:
        # The library's own loop: the same steps inside one call.
        return lstm(tokens)[0], [((i - 1,) if i else (), (i,)) for i in range(len(tokens))]

    def attend(tokens: Tensor) -> tuple[Tensor, Dependencies]:
        q, k, v = (w(tokens).unflatten(-1, (NUM_HEADS, -1)).transpose(0, 1)[None] for w in (w_q, w_k, w_v))
        heads = attention(q, k, v, kind="encoder", layer=0)[0]
        return w_o(heads.transpose(0, 1).flatten(1)), [((), tuple(range(len(tokens))))]

    return dict(zip(NAMES, (step_by_step(rnn), step_by_step(lstm), in_one_call, attend), strict=True))


@torch.no_grad()
def time_layers(lengths: tuple[int, ...] = LENGTHS, tries: int = 3) -> Iterator[LayerTiming]:
    """Timings of every layer on texts of every length, on this machine's CPU.

    Args:
        lengths: in tokens.
        tries: runs of each layer, of which the fastest counts.
    """
    layers = build_layers()
    for length in lengths:
        tokens = torch.from_numpy(sinusoidal(length, D_MODEL)).float()
        for name, run in layers.items():
            run(tokens[:2])  # the first call of a kernel is slower than the rest
            seconds = []
            for _ in range(tries):
                start = time.perf_counter()
                _, dependencies = run(tokens)
                seconds.append(time.perf_counter() - start)
            yield LayerTiming(name, length, sequential_steps(dependencies), path_length(dependencies), min(seconds))


def sequential_steps(dependencies: Dependencies) -> int:
    """Length of the longest chain of calls that wait for each other."""
    depth: list[int] = []
    for calls, _ in dependencies:
        depth.append(1 + max((depth[call] for call in calls), default=0))
    return max(depth)


def path_length(dependencies: Dependencies) -> int:
    """Number of calls on the shortest path from the first token to the last call's result."""
    distance: list[float] = []
    for calls, tokens in dependencies:
        distance.append(1 if 0 in tokens else 1 + min((distance[call] for call in calls), default=float("inf")))
    return int(distance[-1])
