"""The contact map: the head's looks above the diagonal, what touches below it."""

from __future__ import annotations

import numpy as np

from model.structures.protein import KnownStructure
from viz.figures.proteins import contact_map
from viz.figures.reading_series import triangles_error
from viz.figures.theme import LIGHT
from viz.saving.still_image import still_image

COUNT = 12
PLACES = np.zeros((COUNT, 3), np.float32)
PLACES[:, 0] = 9 * np.arange(COUNT)
PLACES[11] = PLACES[1]  # the last touches the second
KNOWN = KnownStructure("made up", "here", "ACDACDACDACC", PLACES, "-" * COUNT, ((1, 11),))
NAMES = [f"{letter} ({i + 1})" for i, letter in enumerate(KNOWN.sequence)]


def test_scores_stand_above_and_contacts_below_the_diagonal() -> None:
    scores = np.full((COUNT, COUNT), -0.1, np.float32)
    scores[1, 11] = scores[11, 1] = 0.8
    scores[0, 9] = 0.5
    figure = contact_map(scores, KNOWN, NAMES, ("encoder", range(1, COUNT + 1)), "Title", LIGHT)
    looks, touch, right, wrong, bridges = figure.data
    z = np.asarray(looks.z)
    assert z[1, 11] == np.float32(0.8)
    assert z[0, 1] == 0  # what is below zero is nothing
    assert np.isnan(z[11, 1])
    assert np.argwhere(np.asarray(touch.z) == 1).tolist() == [[11, 1]]
    assert (right.x, right.y) == ((11,), (1,))
    assert len(wrong.x) == COUNT - 1
    assert (bridges.x, bridges.y) == ((1,), (11,))
    assert figure.layout.yaxis.range == (COUNT - 0.5, -0.5)  # the first residue on top
    assert list(figure.layout.xaxis.ticktext) == ["10"]
    assert list(figure.layout.xaxis.tickvals) == [9]
    assert figure.layout.meta["focus"][0]["places"][:2] == [1, 2]
    assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")


def test_numbers_of_a_long_protein_leave_room_for_each_other() -> None:
    figure = contact_map(np.eye(223), None, ["A"] * 223, ("encoder", range(223)), "Title", LIGHT)
    assert list(figure.layout.xaxis.ticktext[:2]) == ["20", "40"]
    assert len(figure.layout.xaxis.ticktext) <= 15


def test_without_a_known_structure_only_looks_are_drawn() -> None:
    figure = contact_map(np.eye(COUNT), None, NAMES, ("encoder", range(COUNT)), "Title", LIGHT)
    assert len(figure.data) == 1
    assert not figure.layout.showlegend


def test_the_map_is_read_back_and_each_fault_is_found() -> None:
    scores = np.random.default_rng(2).normal(size=(COUNT, COUNT)).astype(np.float32)
    numbers = [str(i) if i % 10 == 0 else "" for i in range(1, COUNT + 1)]
    for known in (KNOWN, None):
        touching = known.contacts if known else None
        figure = contact_map(scores, known, NAMES, ("encoder", range(1, COUNT + 1)), "Title", LIGHT)
        assert triangles_error(figure, scores, touching, numbers) < 1e-6
        assert triangles_error(figure, np.roll(scores, 1, 1), touching, numbers) > 1e-3
        assert triangles_error(figure, scores, touching, ["", *numbers[:-1]]) > 1
        figure.layout.yaxis.range = figure.layout.yaxis.range[::-1]
        assert triangles_error(figure, scores, touching, numbers) > 1
    figure = contact_map(scores, KNOWN, NAMES, ("encoder", range(1, COUNT + 1)), "Title", LIGHT)
    assert triangles_error(figure, scores, ~KNOWN.contacts, numbers) > 1
    assert triangles_error(figure, scores, None, numbers) > 1
