"""Contrast and lightness of the colour scales: in deuteranopia, in grey, and on a projector in a bright room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from viz.figures.theme import DARK, LIGHT, Palette, Scale, high_contrast

STEPS = 11
# Deuteranopia on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
ROOM_LIGHT = 0.15  # of the projector's white, added everywhere: a contrast of about 8:1 is left
PALETTES = {
    "light": LIGHT,
    "dark": DARK,
    "light, projector": high_contrast(LIGHT),
    "dark, projector": high_contrast(DARK),
}


def linear(colours: np.ndarray) -> np.ndarray:
    """sRGB between 0 and 1 as linear light. [..., 3]"""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """Linear light as CIELAB (D65). [..., 3]"""
    x = light @ TO_XYZ.T / WHITE
    f = np.where(x > 216 / 24389, np.cbrt(np.maximum(x, 0)), (24389 / 27 * x + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def steps(scale: Scale) -> np.ndarray:
    """Evenly spaced colours of a scale, as linear light. [step, 3]"""
    colours = np.array([rgb(colour) for _, colour in scale])
    places = np.linspace(0, 1, STEPS)
    return linear(np.stack([np.interp(places, [stop for stop, _ in scale], channel) for channel in colours.T], -1))


def seen(light: np.ndarray) -> np.ndarray:
    return light


def deuteranopic(light: np.ndarray) -> np.ndarray:
    return np.clip(light @ DEUTERANOPIA.T, 0, 1)


def washed_out(light: np.ndarray) -> np.ndarray:
    return (light + ROOM_LIGHT) / (1 + ROOM_LIGHT)


def grey(light: np.ndarray) -> np.ndarray:
    return np.repeat(light @ TO_XYZ[1][:, None], 3, axis=-1)


EYES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": seen,
    "deuteranopia": deuteranopic,
    "washed out": washed_out,
    "grey": grey,
    "deuteranopia, washed out": lambda light: washed_out(deuteranopic(light)),
    "grey, washed out": lambda light: washed_out(grey(light)),
}


def apart(colours: np.ndarray) -> np.ndarray:
    """CIE76 distance of neighbours. [step - 1]"""
    return np.linalg.norm(np.diff(lab(colours), axis=0), axis=1)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two colours."""
    light, dark = sorted((float(linear(rgb(c)) @ TO_XYZ[1]) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_sequential_scale_goes_one_way_in_steps_that_can_be_told_apart(palette: Palette, eyes: str) -> None:
    colours = EYES[eyes](steps(palette.sequential))
    lightness = np.diff(lab(colours)[:, 0])
    assert (np.sign(lightness) == np.sign(lightness[0])).all()
    assert apart(colours).min() >= 2.3, apart(colours)  # a just noticeable difference, for a tenth of the scale


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_diverging_scale_leads_away_from_zero_on_both_sides(palette: Palette, eyes: str) -> None:
    colours = EYES[eyes](steps(palette.diverging))
    lightness = lab(colours)[:, 0]
    middle = STEPS // 2
    away = np.abs(lightness - lightness[middle])
    assert (np.diff(away[middle:]) > 0).all()
    assert (np.diff(away[: middle + 1]) < 0).all()
    assert apart(colours).min() >= 2.3


@pytest.mark.parametrize("eyes", ["as it is", "deuteranopia", "washed out", "deuteranopia, washed out"])
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_the_two_signs_are_not_taken_for_one_another(palette: Palette, eyes: str) -> None:
    colours = lab(EYES[eyes](steps(palette.diverging)))
    for step in range(1, STEPS // 2 + 1):
        distance = np.linalg.norm(colours[STEPS // 2 - step] - colours[STEPS // 2 + step])
        assert distance >= 10, (step, distance)


@pytest.mark.parametrize("eyes", ["as it is", "deuteranopia"])
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_told_apart(palette: Palette, eyes: str) -> None:
    colours = lab(EYES[eyes](linear(np.array([rgb(colour) for colour in palette.lines]))))
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 1e9 * np.eye(len(colours))
    assert distances.min() >= 10, distances.min(axis=1)


@pytest.mark.parametrize("name", PALETTES)
def test_words_stand_out_from_the_page(name: str) -> None:
    palette = PALETTES[name]
    assert contrast(palette.text, palette.page) >= (18 if "projector" in name else 7)
    for colour in (palette.accent, palette.second, palette.forbidden):
        assert contrast(colour, palette.page) >= 3, colour


def test_a_rainbow_would_fail() -> None:
    rainbow = ((0, "#0000ff"), (0.25, "#00ffff"), (0.5, "#00ff00"), (0.75, "#ffff00"), (1, "#ff0000"))
    with pytest.raises(AssertionError):
        test_sequential_scale_goes_one_way_in_steps_that_can_be_told_apart(
            Palette(**{**vars(LIGHT), "sequential": rainbow}), "as it is"
        )
    red_green = ((0, "#a00000"), (0.5, "#ffffff"), (1, "#007000"))
    with pytest.raises(AssertionError):
        test_the_two_signs_are_not_taken_for_one_another(
            Palette(**{**vars(LIGHT), "diverging": red_green}), "deuteranopia"
        )
