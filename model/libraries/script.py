"""A head as a Python script that needs one library and nothing of Headlight."""

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
MANY = 2000  # more numbers than this in one array are written as base64
NEEDS = {"pytorch": "torch numpy", "huggingface": "transformers torch numpy", "keras": "keras torch"}


def source(library: str) -> str:
    """A library's file, as it stands in the repository."""
    return Path(__file__).with_name(f"{library}.py").read_text(encoding="utf-8")


def formula_source(library: str) -> str:
    """What the formula needs of a library's file: all between its first line and the layer."""
    text = source(library)
    docstring, *_ = nodes = ast.parse(text).body
    layer = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "layer")
    end = min([layer.lineno, *(decorator.lineno for decorator in layer.decorator_list)])
    return "\n".join(text.splitlines()[docstring.end_lineno : end - 1]).strip() + "\n"


def formula_inputs(attention: Attention, layer: int) -> FormulaInputs:
    """What the model's own attention was given, all heads."""
    return FormulaInputs(
        query=attention.query(layer),
        key=attention.key(layer),
        value=attention.value(layer),
        mask=attention.mask(layer),
        bias=attention.bias(layer),
        scale=attention.scale(layer),
    )


def script(library: str, attention: Attention, layer: int, head: int, *, model: str, text: str) -> str:
    """A script that works out one head's weights in `library` and prints them with their tokens.

    Numbers are written with nine digits, which is exact in float32.
    """
    inputs = formula_inputs(attention, layer)
    one = slice(head, head + 1)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        library=library,
        packages=NEEDS[library],
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
    )


def _numbers(array: Array) -> str:
    """An expression that makes the array."""
    if array.size > MANY:
        packed = base64.b64encode(array.astype("<f4").tobytes()).decode()
        return f'np.frombuffer(base64.b64decode("{packed}"), "<f4").reshape{array.shape}'
    rows = "\n".join(" ".join(f"{number:.9g}" for number in row) for row in array.reshape(-1, array.shape[-1]))
    return f'np.array("""\n{rows}\n""".split(), "float32").reshape{array.shape}'


def _mask(mask: Array) -> str:
    if mask.all():
        return f"np.ones({mask.shape}, bool)"
    if np.array_equal(mask, np.tri(*mask.shape, dtype=bool)):
        return f"np.tri{mask.shape} > 0"
    return f"{_numbers(mask.astype(np.float32))} > 0"
