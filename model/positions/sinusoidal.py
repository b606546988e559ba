"""Sinusoidal positional encodings (Vaswani et al. 2017, §3.5), in the layouts that models use (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.positions.scheme import Rotation

# Sines in even columns, as in the paper; sines in the first half (Marian); the same from frequency 1 down to exactly
# 1 / base (fairseq's models, such as M2M100).
LAYOUTS = ("interleaved", "halves", "fairseq")


def sinusoidal(
    length: int, d_model: int, base: float = 10_000.0, layout: str = "interleaved", first: int = 0
) -> np.ndarray:
    """The sinusoidal encoding of `length` positions.

    PE(pos, sine i) = sin(pos / base^(2i/d_model)), PE(pos, cosine i) = cos(pos / base^(2i/d_model)).

    Args:
        layout: which columns are sines and cosines, of `LAYOUTS`.
        first: the first position.

    Returns:
        float64 [position, d_model]

    Raises:
        ValueError: d_model is odd, or length, d_model or base is not positive.
    """
    if d_model % 2 or min(length, d_model, base) <= 0:
        raise ValueError(
            f"sinusoidal needs length > 0, an even d_model > 0 and base > 0; got {length=}, {d_model=}, {base=}"
        )
    turning = columns(d_model, base, layout)
    assert turning.pairs is not None
    angle = np.arange(first, first + length)[:, None] * turning.frequencies  # [position, pair]
    encoding = np.empty((length, d_model))
    encoding[:, turning.pairs[:, 0]] = np.sin(angle)
    encoding[:, turning.pairs[:, 1]] = np.cos(angle)
    return encoding


def columns(d_model: int, base: float = 10_000.0, layout: str = "interleaved") -> Rotation:
    """The frequency of each sine-cosine pair, and its two columns, the sine's first."""
    pair = np.arange(d_model // 2)
    if layout == "interleaved":
        places = np.stack([2 * pair, 2 * pair + 1], axis=1)
    else:
        places = np.stack([pair, pair + len(pair)], axis=1)
    slowest = max(len(pair) - 1, 1) if layout == "fairseq" else len(pair)  # the pair whose frequency is 1 / base
    return Rotation(base ** (-pair / slowest), places)


def frequencies(d_model: int, base: float = 10_000.0) -> np.ndarray:
    """The angular frequency of each sine-cosine pair, in radians per position. float64 [d_model / 2]"""
    return columns(d_model, base).frequencies


def find_layout(table: np.ndarray) -> tuple[str, int] | None:
    """The layout and the first position of a sinusoidal table of base 10,000; None where it is none.

    Args:
        table: [position, d_model]
    """
    if table.shape[1] % 2:
        return None
    for layout in LAYOUTS:
        for first in range(3):  # fairseq's models keep the first rows for padding
            expected = sinusoidal(len(table), table.shape[1], layout=layout, first=first)
            if np.abs(table - expected).max() < 5e-3:  # bfloat16 rounds to 2e-3
                return layout, first
    return None
