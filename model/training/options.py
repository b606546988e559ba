"""How long, how fast and where to train: the options of the loop, their arguments, the learning rate they ask for."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch


@dataclass
class Options:
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps of the whole run.
        peak: highest learning rate, reached after `warmup` steps.
        cooldown: steps over which the rate falls to zero at the end.
        average: decay of the exponential moving average of the weights that are saved.
        evaluate_every: steps between two evaluations, each of which writes the final files anew.
        minutes: stop after so long, to go on later; None trains to the end.
        checkpoint_minutes: time between two checkpoints.
        device: "auto" is a GPU where there is one.
        optimizer: "muon": Muon (Jordan et al. 2024) for the matrices of linear layers, AdamW for all else; "adamw".
    """

    steps: int = 10_000
    peak: float = 1e-3
    warmup: int = 1000
    cooldown: int = 2000
    average: float = 0.999
    weight_decay: float = 0.01
    clip: float = 1.0
    evaluate_every: int = 1000
    minutes: float | None = None
    checkpoint_minutes: float = 4.0
    device: str = "auto"
    optimizer: str = "muon"
    seed: int = 2017


def add_options(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add `--out` and one argument for each field of `Options`, with a recipe's own defaults."""
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and final files")
    for option in fields(Options):
        default = defaults.get(option.name, option.default)
        kind = float if option.name == "minutes" else type(default)
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=kind, default=default)


def options_from(args: argparse.Namespace) -> Options:
    """The `Options` among parsed arguments."""
    return Options(**{option.name: getattr(args, option.name) for option in fields(Options)})


def find_device(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def rate(step: int, options: Options) -> float:
    """Learning rate at a step: linear warm-up, constant, linear decay to zero over the last `cooldown` steps."""
    rising = (step + 1) / max(options.warmup, 1)
    falling = max(0.0, (options.steps - step) / max(options.cooldown, 1))
    return options.peak * min(1.0, rising, falling)
