"""A figure's data and layout by attribute, without Plotly's objects, which take longer to make than to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go


class Part:
    """A part of a figure: its properties as attributes, None where it has none; `meta` stays a dictionary."""

    __slots__ = ("_properties",)

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties

    def __getattr__(self, name: str) -> Any:
        value = self._properties.get(name)
        return value if name == "meta" else _part(value)


def parts(figure: go.Figure) -> Part:
    """A figure with its `data` and its `layout`, as they are sent to the browser."""
    return Part({"data": figure._data, "layout": figure._layout})


def _part(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Part(value)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        return [Part(one) for one in value]
    return value
