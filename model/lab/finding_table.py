"""The published findings of `assets/findings.toml`: what is measured, and the criterion that is fixed beforehand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model.assets import ASSETS

FILE = ASSETS / "findings.toml"
FAMILIES = ("encoder", "decoder", "encoder-decoder")


@dataclass(frozen=True)
class FindingSpec:
    """One published finding, as the head of `assets/findings.toml` explains its fields.

    Attributes:
        id: name of its table.
        head: layer and head that it names; () where it names none.
    """

    id: str
    text: str
    says: str
    source: str
    published: str
    kind: str
    read: str
    measure: str
    statistic: str
    at_least: float
    models: tuple[str, ...] = ()
    families: tuple[str, ...] = FAMILIES
    head: tuple[int, ...] = ()
    layers: tuple[float, ...] = ()
    skip_layers: int = 0
    above: float | None = None
    below: float | None = None
    times_even: float = 0.0
    against: str = ""
    unit: str = "share"
    given: str = ""
    query: str = ""
    key: str = ""

    @property
    def place(self) -> dict[str, int]:
        """The layer and head that fill in `says`."""
        return dict(zip(("layer", "head"), self.head, strict=False))

    def is_about(self, model: str) -> bool:
        """Whether it is to be checked for a model, by its id."""
        return not self.models or model in self.models

    def chosen_layers(self, count: int) -> range:
        """The layers that are looked at, of so many."""
        if not self.layers:
            return range(min(self.skip_layers, count), count)
        first, last = (int(share * (count - 1) + 0.5) for share in self.layers)
        return range(first, last + 1)


def read_findings(file: Path = FILE) -> tuple[FindingSpec, ...]:
    """The findings of a file, in its order.

    Raises:
        TypeError: one lacks a field, or has one that is not known.
    """
    return tuple(_spec(name, fields) for name, fields in tomllib.loads(file.read_text(encoding="utf-8")).items())


def _spec(name: str, fields: Mapping[str, Any]) -> FindingSpec:
    given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in fields.items()}
    return FindingSpec(name, **given)


@cache
def all_findings() -> tuple[FindingSpec, ...]:
    """The findings that come along."""
    return read_findings()
