"""Sinusoidal positional encodings (Vaswani et al. 2017, §3.5; NumPy only)."""

from __future__ import annotations

import numpy as np


def sinusoidal(length: int, d_model: int, base: float = 10_000.0) -> np.ndarray:
    """The sinusoidal encoding of the first `length` positions: sine in even dimensions, cosine in odd ones.

    PE(pos, 2i) = sin(pos / base^(2i/d_model)), PE(pos, 2i+1) = cos(pos / base^(2i/d_model)).

    Returns:
        float64 [position, d_model]

    Raises:
        ValueError: d_model is odd, or length, d_model or base is not positive.
    """
    if d_model % 2 or min(length, d_model, base) <= 0:
        raise ValueError(
            f"sinusoidal needs length > 0, an even d_model > 0 and base > 0; got {length=}, {d_model=}, {base=}"
        )
    angle = np.arange(length)[:, None] * frequencies(d_model, base)  # [position, pair]
    encoding = np.empty((length, d_model))
    encoding[:, 0::2] = np.sin(angle)
    encoding[:, 1::2] = np.cos(angle)
    return encoding


def frequencies(d_model: int, base: float = 10_000.0) -> np.ndarray:
    """The angular frequency of each sine-cosine pair, in radians per position. float64 [d_model / 2]"""
    return base ** (-np.arange(0, d_model, 2) / d_model)


def rotation(offset: int, d_model: int, base: float = 10_000.0) -> np.ndarray:
    """The matrix that shifts an encoding by `offset` positions: PE(pos + offset) = rotation(offset) @ PE(pos).

    It is the same for every pos: each sine-cosine pair turns by offset times its frequency. Vaswani et al. 2017, §3.5.

    Returns:
        float64 [d_model, d_model]
    """
    matrix = np.zeros((d_model, d_model))
    for pair, angle in enumerate(offset * frequencies(d_model, base)):
        s, c = 2 * pair, 2 * pair + 1
        matrix[[s, s, c, c], [s, c, s, c]] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    return matrix
