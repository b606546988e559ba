"""Labels of a picture's tokens: special ones, then patches by row and column."""

from __future__ import annotations

from torch import nn

from model.trace.tokens import Picture, Tokens

# Labels of the tokens that may come before the patches, in this order, by the parameter that holds them.
PREFIX_TOKENS = {
    "cls_token": "[CLS]",
    "class_embedding": "[CLS]",
    "distillation_token": "[DIST]",
    "register_tokens": "[REG]",
}


def prefix_labels(module: nn.Module) -> list[str]:
    """Labels of the tokens that a vision model has parameters for, such as "[CLS]"."""
    sizes = {name.rsplit(".", 1)[-1]: part.shape for name, part in module.named_parameters()}
    found = [(label, sizes[name]) for name, label in PREFIX_TOKENS.items() if name in sizes]
    return [label for label, shape in found for _ in range(shape[1] if len(shape) == 3 else 1)]


def label_patches(special: list[str], picture: Picture) -> Tokens:
    """Tokens of a picture: special ones, then patches labelled "row,column"."""
    patches = [f"{row},{column}" for row in range(picture.rows) for column in range(picture.columns)]
    return Tokens((*special, *patches), (*[True] * len(special), *[False] * len(patches)))
