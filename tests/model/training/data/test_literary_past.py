"""The passé simple is told from the tenses that are spoken."""

from __future__ import annotations

import pytest

from model.training.data.literary_past import is_literary

WORDS = {"arrêter", "manger", "commencer", "donner", "rouge", "demander"}


@pytest.mark.parametrize(
    "french",
    [
        "La voiture rouge s'arrêta.",
        "Tom mangea la pizza.",
        "Ils commencèrent à manger.",
        "Je lui donnai la clé.",
        "Il vint me voir.",
        "Nous fûmes surpris.",
    ],
)
def test_the_tense_of_books_is_found(french: str) -> None:
    assert is_literary(french, WORDS)


@pytest.mark.parametrize(
    "french",
    [
        "La voiture rouge s'est arrêtée.",
        "La voiture s'arrêtera.",
        "Je donnerai la clé.",
        "Elle va au cinéma avec sa panda.",
        "Il vit à Paris et finit tard.",
        "J'ai demandé la carte des vins.",
    ],
)
def test_spoken_tenses_stay(french: str) -> None:
    assert not is_literary(french, WORDS)
