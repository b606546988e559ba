"""The training loop that all recipes share: schedule, mixed precision, checkpoints, averaged weights, log.

A run is determined by its seed: batches depend on the seed and the round, dropout on the seed and the step. A run that
was stopped goes on from its checkpoint with the same command, and ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from model.training.options import Options, find_device, rate

Batch = tuple[Tensor, ...]


class Recipe(Protocol):
    """What a recipe gives to the loop.

    Attributes:
        short: its sequences are short: on a CPU, attention runs through the plain kernel, because the backward pass of
            the fused one is slower up to about 150 tokens.
    """

    short: bool

    def batches(self, number: int) -> Sequence[Batch]:
        """Batches of one round over the data; the same ones whenever the number is the same."""

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Training loss of one batch that is on the module's device; a scalar."""

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Figures of the averaged weights on validation data."""

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write the averaged weights and all that opening them needs."""


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; where not, each product takes about 80 times as long."""
    return device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


class StaysFloat32(TorchFunctionMode):
    """While it is entered, `Tensor.bfloat16` gives a float32 copy: Muon of torch.optim always asks for bfloat16."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0].float().clone() if func is Tensor.bfloat16 else func(*args, **(kwargs or {}))


@contextmanager
def reduced_precision(device: torch.device, short: bool = False) -> Iterator[None]:
    """Matrix products in bfloat16 on a GPU, and on a CPU that multiplies it in hardware; `short` as in `Recipe`."""
    with ExitStack() as stack:
        if multiplies_bfloat16(device):
            stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
        if device.type == "cpu" and short:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


@dataclass
class State:
    """Where a run stands.

    Attributes:
        average: exponential moving average of the module's weights.
        step: steps done; number, index: the round that is going on, and how many of its batches are done.
        seconds: time spent in steps so far, over all starts.
        losses: of the steps since the start of the process; on the device, because reading one would wait for it.
    """

    module: nn.Module
    average: nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    number: int = 0
    index: int = 0
    seconds: float = 0.0
    losses: list[Tensor] = field(default_factory=list)

    def mean_loss(self, steps: int) -> float:
        """Mean training loss of the last steps."""
        return torch.stack(self.losses[-steps:]).float().mean().item() if self.losses else math.nan

    def write(self, file: Path) -> None:
        """Write a checkpoint; the earlier one stays until the new one is complete."""
        kept: dict[str, Any] = {name: getattr(self, name).state_dict() for name in ("module", "average")}
        kept["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        kept |= {name: getattr(self, name) for name in ("step", "number", "index", "seconds")}
        new = file.with_suffix(".new")
        torch.save(kept, new)
        os.replace(new, file)

    def read(self, file: Path, device: torch.device) -> None:
        """Go on from a checkpoint."""
        kept = torch.load(file, map_location=device, weights_only=True)
        for name in ("module", "average"):
            getattr(self, name).load_state_dict(kept[name])
        for optimizer, state in zip(self.optimizers, kept["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        for name in ("step", "number", "index", "seconds"):
            setattr(self, name, kept[name])


def make_optimizers(module: nn.Module, options: Options) -> list[torch.optim.Optimizer]:
    """The optimizers of a module's parameters, each parameter in one of them."""
    linear = [part.weight for part in module.modules() if isinstance(part, nn.Linear)]
    tied = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    matrices = [weight for weight in linear if id(weight) not in tied] if options.optimizer == "muon" else []
    others = [weight for weight in module.parameters() if not any(weight is matrix for matrix in matrices)]
    settings: dict[str, Any] = {"lr": options.peak, "weight_decay": options.weight_decay}
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, betas=(0.9, 0.98), eps=1e-9, fused=True, **settings)
    ]
    if matrices:  # steps as long as AdamW's, so that one rate suits both
        found.append(torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **settings))
    return found


def start(module: nn.Module, options: Options, out: Path) -> State:
    """A new run, or the one whose checkpoint is in the folder."""
    device = find_device(options.device)
    module.to(device)
    average = copy.deepcopy(module).eval()
    for parameter in average.parameters():
        parameter.requires_grad_(False)
    state = State(module, average, make_optimizers(module, options))
    if (out / "checkpoint.pt").exists():
        state.read(out / "checkpoint.pt", device)
    return state


def update(state: State, recipe: Recipe, batch: Batch, options: Options) -> None:
    """One optimizer step, and the averaged weights moved towards its result."""
    device = next(state.module.parameters()).device
    torch.manual_seed(options.seed * 1_000_003 + state.step)  # dropout of a resumed run is that of a straight one
    for group in [group for optimizer in state.optimizers for group in optimizer.param_groups]:
        group["lr"] = rate(state.step, options)
    with reduced_precision(device, recipe.short):
        loss = recipe.loss(state.module, tuple(part.to(device, non_blocking=True) for part in batch))
    state.module.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(state.module.parameters(), options.clip)
    with nullcontext() if multiplies_bfloat16(device) else StaysFloat32():
        for optimizer in state.optimizers:
            optimizer.step()
    state.step += 1
    # A short memory at first, or the average would hold on to the random weights of the start.
    decay = min(options.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():  # else every step would stay in the average's history
        torch._foreach_lerp_(list(state.average.parameters()), list(state.module.parameters()), 1 - decay)
    state.losses.append(loss.detach())


def report(state: State, recipe: Recipe, options: Options, out: Path) -> None:
    """Evaluate the averaged weights, append the figures to `log.jsonl`, write the final files."""
    begun = time.monotonic()
    with torch.no_grad(), reduced_precision(next(state.average.parameters()).device, recipe.short):
        figures = recipe.evaluate(state.average)
    recipe.save(state.average, out)
    line: dict[str, float] = {"step": state.step, "round": state.number, "minutes": round(state.seconds / 60, 1)}
    line |= {"rate": rate(state.step - 1, options), "loss": round(state.mean_loss(options.evaluate_every), 4)}
    line |= {name: round(value, 4) for name, value in figures.items()}
    line["evaluation_seconds"] = round(time.monotonic() - begun, 1)
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


class Rounds:
    """The batches of one round after the other; on a GPU, which is fast, the next ones are made in the meantime."""

    def __init__(self, recipe: Recipe, ahead: bool) -> None:
        self.recipe, self.ahead = recipe, ahead
        self.maker = ThreadPoolExecutor(1)
        self.ready: dict[int, Future[Sequence[Batch]]] = {}

    def batches(self, number: int) -> Sequence[Batch]:
        """The batches of a round."""
        kept = self.ready.pop(number, None)
        if self.ahead:
            self.ready[number + 1] = self.maker.submit(self.recipe.batches, number + 1)
        return kept.result() if kept else self.recipe.batches(number)


def stop_when_asked() -> list[int]:
    """A list that gets an entry when the process is asked to end (SIGTERM), so that it can write a checkpoint first."""
    asked: list[int] = []
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    return asked


def train(module: nn.Module, recipe: Recipe, options: Options, out: Path) -> State:
    """Train to the last step, or for `options.minutes`; go on from the checkpoint in `out` where there is one.

    Returns:
        The state after the last step, with its checkpoint and the final files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = start(module, options, out)
    checkpoint = out / "checkpoint.pt"
    begun = saved = time.monotonic()
    asked, rounds = stop_when_asked(), Rounds(recipe, ahead=find_device(options.device).type == "cuda")
    count = sum(parameter.numel() for parameter in module.parameters())
    print(f"{count:,} parameters on {find_device(options.device)}, from step {state.step}", flush=True)
    if state.step >= options.steps:
        return state
    while state.step < options.steps:
        todo = rounds.batches(state.number)
        while state.index < len(todo) and state.step < options.steps:
            module.train()
            tick = time.monotonic()
            update(state, recipe, todo[state.index], options)
            state.index += 1
            now = time.monotonic()
            state.seconds += now - tick
            if state.step % 100 == 0:
                print(f"step {state.step}, {state.seconds / 60:.1f} min, loss {state.mean_loss(100):.3f}", flush=True)
            if now - saved > 60 * options.checkpoint_minutes:
                state.write(checkpoint)
                saved = now
            if state.step % options.evaluate_every == 0 and state.step < options.steps:
                state.write(checkpoint)
                saved = time.monotonic()
                report(state, recipe, options, out)
            if asked or (options.minutes is not None and now - begun > 60 * options.minutes):
                state.write(checkpoint)
                recipe.save(state.average, out)
                return state
        if state.index >= len(todo):
            state.number, state.index = state.number + 1, 0
    state.write(checkpoint)
    report(state, recipe, options, out)
    return state
