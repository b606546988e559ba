"""Which module of a model runs, read off the call stack: no hook is left on the model, and no thread sees another's."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from types import FrameType
from typing import Any

Paths = Mapping[int, tuple[str, Any]]  # id of a module -> its path and the module, which keeps the id its own


def module_paths(root: Any) -> dict[int, tuple[str, Any]]:
    """Every module in a model by its id, with its path such as "layers.0.attention"; "" is the model itself.

    Layers of Keras, which keeps no paths, have their names: "attention_1" is "attention.1".
    """
    found: dict[int, tuple[str, Any]] = {}
    if hasattr(root, "named_modules"):
        found |= {id(module): (path.replace("_orig_mod.", ""), module) for path, module in root.named_modules()}
    for _, holder in [("", root), *found.values()]:
        if is_keras_layer(holder):
            layers = [one for one in holder._flatten_layers(include_self=False) if id(one) not in found]
            names = {layer.name for layer in layers}
            found |= {id(layer): (_numbered(layer.name, names), layer) for layer in layers}
    found[id(root)] = "", root
    return found


def is_keras_layer(value: Any) -> bool:
    """Whether a value is a layer or model of Keras 3, on any of its backends."""
    return hasattr(value, "_flatten_layers") and hasattr(value, "compute_output_spec")


def _numbered(name: str, names: Collection[str]) -> str:
    """A name that Keras numbered, as a path: "attention" and "attention_1" are "attention.0" and "attention.1"."""
    stem = re.sub(r"_\d+$", "", name)
    if stem != name:
        return f"{stem}.{name.removeprefix(stem)[1:]}"
    return f"{name}.0" if any(re.fullmatch(rf"{re.escape(name)}_\d+", other) for other in names) else name


def running_module(paths: Paths) -> tuple[str, Any] | None:
    """Path of the innermost module of a model that this thread is running, and the module; None outside of it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if "self" in code.co_varnames or "self" in code.co_freevars:
            owner = frame.f_locals.get("self")
            path, module = paths.get(id(owner), ("", None))
            if module is not None and module is owner:
                return path, module
        frame = frame.f_back
    return None


def stack_of(path: str) -> str:
    """The path of a stack of layers: "*" in place of a number, in "layers.0.attention" and in "block1.attention"."""
    parts = path.split(".")
    if any(part.isdigit() for part in parts):
        return ".".join("*" if part.isdigit() else part for part in parts)
    return ".".join(re.sub(r"\d+$", "*", part) for part in parts)


def layer_numbers(paths: list[str]) -> tuple[int, ...]:
    """Which layer of a model each path is, where it has one number only and they rise; empty where they do not."""
    numbers = [[int(part) for part in path.split(".") if part.isdigit()] for path in paths]
    if any(len(found) != 1 for found in numbers):
        return ()
    index = [found[0] for found in numbers]
    return tuple(index) if index == sorted(set(index)) else ()
