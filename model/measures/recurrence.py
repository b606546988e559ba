"""What attention replaced: recurrent layers that read word after word, timed and counted beside attention."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.attention.formula import attention
from model.positions.sinusoidal import sinusoidal

WIDTH, HEADS = 256, 8  # as in the bundled model
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
NAMES = ("rnn", "lstm", "lstm_whole", "attention")

# What each call of a layer's cell is given: the calls before it whose state it needs, and the tokens it reads itself.
Needs = list[tuple[tuple[int, ...], tuple[int, ...]]]
Read = Callable[[Tensor], tuple[Tensor, Needs]]


@dataclass(frozen=True)
class Reading:
    """One layer that read one text.

    Attributes:
        name: one of `NAMES`; length: in tokens.
        steps: calls that must be made one after another.
        path: calls that what the first token says goes through until it reaches the last token's result.
        seconds: the fastest of a few tries.
    """

    name: str
    length: int
    steps: int
    path: int
    seconds: float


def layers() -> dict[str, Read]:
    """One layer of each sort; each takes [token, width] and returns as many vectors, and what each call needed."""
    rnn, lstm = nn.RNN(WIDTH, WIDTH), nn.LSTM(WIDTH, WIDTH)
    w_q, w_k, w_v, w_o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def step_by_step(cell: nn.RNN | nn.LSTM) -> Read:
        def read(tokens: Tensor) -> tuple[Tensor, Needs]:
            state, states = None, []
            needs: Needs = []
            for place, token in enumerate(tokens):
                out, state = cell(token[None], state)
                needs.append(((place - 1,) if place else (), (place,)))
                states.append(out)
            return torch.cat(states), needs

        return read

    def in_one_call(tokens: Tensor) -> tuple[Tensor, Needs]:
        # The library's own loop: the same steps, hidden inside one call.
        return lstm(tokens)[0], [((place - 1,) if place else (), (place,)) for place in range(len(tokens))]

    def attend(tokens: Tensor) -> tuple[Tensor, Needs]:
        q, k, v = (w(tokens).unflatten(-1, (HEADS, -1)).transpose(0, 1)[None] for w in (w_q, w_k, w_v))
        mixed = attention(q, k, v, kind="encoder", layer=0)[0]
        return w_o(mixed.transpose(0, 1).flatten(1)), [((), tuple(range(len(tokens))))]

    return dict(zip(NAMES, (step_by_step(rnn), step_by_step(lstm), in_one_call, attend), strict=True))


@torch.no_grad()
def measure(lengths: tuple[int, ...] = LENGTHS, tries: int = 3) -> Iterator[Reading]:
    """Time each layer on texts of growing length, on this machine's CPU."""
    made = layers()
    for length in lengths:
        tokens = torch.from_numpy(sinusoidal(length, WIDTH)).float()
        for name, read in made.items():
            read(tokens[:2])  # the first call of a kernel is slower than the rest
            taken = []
            for _ in range(tries):
                start = time.perf_counter()
                _, needs = read(tokens)
                taken.append(time.perf_counter() - start)
            yield Reading(name, length, steps(needs), path(needs), min(taken))


def steps(needs: Needs) -> int:
    """The longest chain of calls that wait for each other."""
    depth: list[int] = []
    for calls, _ in needs:
        depth.append(1 + max((depth[call] for call in calls), default=0))
    return max(depth)


def path(needs: Needs) -> int:
    """Calls on the shortest way from the first token to the last call's result."""
    far: list[float] = []
    for calls, tokens in needs:
        far.append(1 if 0 in tokens else 1 + min((far[call] for call in calls), default=float("inf")))
    return int(far[-1])
