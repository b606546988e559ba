"""Models of two encoders, one for texts and one for pictures or sounds, such as CLIP, SigLIP and CLAP."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

READS = ("text", "vision", "audio")


def encoder_of_pair(module: Any, reads: str) -> Any:
    """One of the two encoders of a model like CLIP; any other module as it is.

    Args:
        reads: "text" or "vision", as the library names them.
    """
    found = _halves(module)
    return found.get(reads, module) if len(found) == 2 else module


def other_half(module: Any, shown: Any) -> str:
    """What the encoder beside the one that is shown reads, "text", "vision" or "audio"; "" where none is beside it."""
    return "" if shown is module else next(name for name, half in _halves(module).items() if half is not shown)


def _halves(module: Any) -> dict[str, PreTrainedModel]:
    """The encoders of a model by what they read."""
    halves = {name: getattr(module, f"{name}_model", None) for name in READS}
    return {name: half for name, half in halves.items() if isinstance(half, PreTrainedModel)}
