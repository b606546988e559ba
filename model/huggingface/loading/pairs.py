"""Models of two encoders, one for texts and one for pictures, such as CLIP and SigLIP."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel


def encoder_of_pair(module: Any, reads: str) -> Any:
    """One of the two encoders of a model like CLIP; any other module as it is.

    Args:
        reads: "text" or "vision", as the library names them.
    """
    halves = [getattr(module, f"{name}_model", None) for name in ("text", "vision")]
    if not all(isinstance(half, PreTrainedModel) for half in halves):
        return module
    return halves[("text", "vision").index(reads)]
