"""What a user may change before a pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edits:
    """Changes to a forward pass; `Edits()` changes nothing and gives bit-equal results."""
