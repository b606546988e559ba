"""One attention head as a standalone Python script for one library."""

from __future__ import annotations

import ast
import base64
from pathlib import Path
from pprint import pformat
from string import Template

import numpy as np

from model.arrays.types import Array
from model.assets import ASSETS
from model.trace.attention import Attention
from model.trace.layer_inputs import FormulaInputs

TEMPLATE = ASSETS / "scripts" / "head.py.txt"
BASE64_FROM = 2000  # an array with more numbers is written as base64
REQUIREMENTS = {"pytorch": "torch numpy", "huggingface": "transformers torch numpy", "keras": "keras torch"}


def library_source(library: str) -> str:
    """The source of a library's file in this folder."""
    return Path(__file__).with_name(f"{library}.py").read_text(encoding="utf-8")


def formula_source(library: str) -> str:
    """The part of a library's file that its formula needs: from the end of the module docstring to the layer."""
    text = library_source(library)
    docstring, *_ = nodes = ast.parse(text).body
    layer = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "layer")
    end = min([layer.lineno, *(decorator.lineno for decorator in layer.decorator_list)])
    return "\n".join(text.splitlines()[docstring.end_lineno : end - 1]).strip() + "\n"


def function_source(library: str, name: str) -> str:
    """The source of the function `name` ("formula" or "layer") of a library's file, with its decorators."""
    text = library_source(library)
    found = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name)
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : found.end_lineno]) + "\n"


def formula_inputs(attention: Attention, layer: int) -> FormulaInputs:
    """Inputs of the attention formula in one layer of a model, for all heads."""
    return FormulaInputs(
        query=attention.query(layer),
        key=attention.key(layer),
        value=attention.value(layer),
        mask=attention.mask(layer),
        bias=attention.bias(layer),
        scale=attention.scale(layer),
        softcap=attention.layers[layer].softcap or 0.0,
        sinks=attention.layers[layer].array("sinks"),
    )


def head_script(library: str, attention: Attention, layer: int, head: int, *, model: str, text: str) -> str:
    """Source of a script that computes one head's weights with a library and prints them with their tokens.

    Numbers have nine significant digits, which is exact in float32.

    Args:
        library: a key of `runner.PACKAGES`; model, text: for the script's comments.
    """
    inputs = formula_inputs(attention, layer)
    one = slice(head, head + 1)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        library=library,
        packages=REQUIREMENTS[library],
        model=repr(model),
        text=repr(text),
        kind=attention.kind,
        layer=layer,
        head=head,
        code=formula_source(library),
        query_tokens=pformat(list(attention.query_tokens), width=110, compact=True),
        key_tokens=pformat(list(attention.key_tokens), width=110, compact=True),
        query=_numbers(inputs.query[one]),
        key=_numbers(inputs.key[one]),
        value=_numbers(inputs.value[one]),
        mask=_mask(inputs.mask),
        bias=_numbers(inputs.bias[one]) if inputs.bias.any() else f'np.zeros({(1, *inputs.mask.shape)}, "float32")',
        scale=repr(inputs.scale),
        softcap=repr(inputs.softcap),
        sinks=_numbers(inputs.sinks[None, one]) + "[0]",
    )


def _numbers(array: Array) -> str:
    """A Python expression for a float32 array."""
    if array.size > BASE64_FROM:
        packed = base64.b64encode(array.astype("<f4").tobytes()).decode()
        return f'np.frombuffer(base64.b64decode("{packed}"), "<f4").reshape{array.shape}'
    rows = "\n".join(" ".join(f"{number:.9g}" for number in row) for row in array.reshape(-1, array.shape[-1]))
    return f'np.array("""\n{rows}\n""".split(), "float32").reshape{array.shape}'


def _mask(mask: Array) -> str:
    """A Python expression for a Boolean array [query, key], short for full and for causal masks."""
    if mask.all():
        return f"np.ones({mask.shape}, bool)"
    if np.array_equal(mask, np.tri(*mask.shape, dtype=bool)):
        return f"np.tri{mask.shape} > 0"
    return f"{_numbers(mask.astype(np.float32))} > 0"
