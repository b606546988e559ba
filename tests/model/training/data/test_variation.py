"""Varied pairs change both sides alike, and French elision goes with the word."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from model.training.data.variation import (
    HEURE,
    NUMBERS,
    TIME,
    british,
    exchange,
    from_template,
    join,
    put,
    rename,
    renumber,
    retime,
    slot_fills,
    typed,
)


@pytest.mark.parametrize(
    ("french", "old", "new", "wanted"),
    [
        ("C'est le chat de Tom.", "Tom", "Emma", "C'est le chat d'Emma."),
        ("Je crois que Tom dort.", "Tom", "Alice", "Je crois qu'Alice dort."),
        ("C'est le chat d'Alice.", "Alice", "Tom", "C'est le chat de Tom."),
        ("Je crois qu'Alice dort.", "Alice", "Tom", "Je crois que Tom dort."),
        ("Le chat d'Alice dort.", "Alice", "Emma", "Le chat d'Emma dort."),
        ("Tom aime Tomas.", "Tom", "Ben", "Ben aime Tomas."),
        ("Je viens de Boston.", "Boston", "Édimbourg", "Je viens d'Édimbourg."),
    ],
)
def test_elision_goes_with_the_word(french: str, old: str, new: str, wanted: str) -> None:
    assert put(french, old, new) == wanted


def test_a_word_is_exchanged_on_both_sides_or_on_none() -> None:
    assert exchange(("Tom sleeps.", "Tom dort."), "Tom", ("London", "Londres")) == ("London sleeps.", "Londres dort.")
    assert exchange(("Tom sleeps.", "Il dort."), "Tom", ("Ben", "Ben")) == ("Tom sleeps.", "Il dort.")


def test_names_cities_and_numbers_stay_the_same_on_both_sides() -> None:
    words = slot_fills()
    forms = {english: french for kind in ("name", "city") for english, french in words[kind]}
    rng = random.Random(0)
    made_up = 0
    for _ in range(200):
        english, french = rename(("Tom lives in Boston.", "Tom habite à Boston."), rng)
        name, city = re.fullmatch(r"(.+) lives in (.+)\.", english).groups()  # type: ignore[union-attr]
        assert french == f"{forms.get(name, name)} habite à {forms.get(city, city)}."
        made_up += name not in forms
        english, french = renumber(("I have three cats.", "J'ai trois chats."), rng)
        assert french == f"J'ai {NUMBERS[english.split()[2]]} chats."
        english, french = renumber(("It costs 25 euros.", "Ça coûte 25 euros."), rng)
        assert re.findall(r"\d+", english) == re.findall(r"\d+", french)
    assert 30 < made_up < 90


@pytest.mark.parametrize(
    "pair",
    [
        ("I have three cats.", "J'ai quelques chats."),
        ("Three and three is six.", "3 et 3 font 6."),
        ("I was born in 1985.", "Je suis né en mille neuf cent quatre-vingt-cinq."),
        ("She is twenty.", "Elle a vingt-deux ans."),
    ],
)
def test_a_number_that_one_side_lacks_stays(pair: tuple[str, str]) -> None:
    assert renumber(pair, random.Random(0)) == pair


def test_times_are_the_same_on_both_sides() -> None:
    rng = random.Random(0)
    for pair in (
        ("Let's meet at 2:30.", "Rencontrons-nous à 14 h 30."),
        ("Let's meet at 2:30.", "Rencontrons-nous à 2h30."),
        ("He came at six o'clock.", "Il est venu à six heures."),
    ):
        for _ in range(50):
            english, french = retime(pair, rng)
            assert TIME.search(english)[0].split(":") == HEURE.search(french)[0].split(" h ")  # type: ignore[index]
    half = ("He came at six o'clock.", "Il est venu à six heures et demie.")
    assert retime(half, rng) == half


def test_british_spelling_changes_whole_words_of_the_english_side_only() -> None:
    pair = ("My favorite color is gray, colorless.", "Ma couleur favorite est le gris.")
    assert british(pair, random.Random(0)) == ("My favourite colour is grey, colorless.", pair[1])


def test_what_is_typed_in_a_hurry_keeps_its_words() -> None:
    rng = random.Random(0)
    made = {typed(("Where's Tom?", "Où est Tom ?"), rng) for _ in range(100)}
    assert {french for _, french in made} == {"Où est Tom ?"}
    assert {"where's tom", "where's tom?", "Where's Tom", "wheres tom"} <= {english for english, _ in made}
    made = {typed(("I see.", "Je vois."), rng) for _ in range(100)}
    assert all(english.endswith(".") == french.endswith(".") for english, french in made)


def test_joined_sentences_keep_names_in_capitals() -> None:
    rng = random.Random(0)
    made = {join(("It rains.", "Il pleut."), ("Tom sleeps.", "Tom dort."), {"Tom"}, rng) for _ in range(60)}
    assert ("It rains and Tom sleeps.", "Il pleut et Tom dort.") in made
    assert ("It rains. Tom sleeps.", "Il pleut. Tom dort.") in made
    made = {join(("It rains.", "Il pleut."), ("He sleeps.", "Il dort."), {"Tom"}, rng) for _ in range(60)}
    assert ("It rains, but he sleeps.", "Il pleut, mais il dort.") in made
    assert join(("Why?", "Pourquoi ?"), ("He sleeps.", "Il dort."), set(), rng)[0] == "Why? He sleeps."


def test_templates_leave_no_slot_open_and_elide() -> None:
    rng = random.Random(0)
    made = [from_template(rng) for _ in range(2000)]
    assert not [pair for pair in made if re.search(r"[{}]|Slot", pair[0] + pair[1])]
    assert not [french for _, french in made if re.search(r"\b(de|que) [AEIOUÉaeioué]", french)]


def test_no_template_is_a_class_sentence() -> None:
    """The class sentences judge what was learned, so none of them is taught."""
    words = slot_fills()
    fills = {kind: "|".join(re.escape(english) for english, _ in pairs) for kind, pairs in words.items()}
    fills |= {"number": r"\w+", "time": r"\d+:\d+"}

    def taught(template: str) -> str:
        parts = re.split(r"\{(\w+?)[23]?\}", template.rstrip(".?!"))
        return "".join(f"(?:{fills[part]})" if place % 2 else re.escape(part) for place, part in enumerate(parts))

    patterns = [taught(english) for english, _ in words["template"]]
    assert re.fullmatch(taught("I lost {mine} in {city}."), "i lost my schoolbag in berlin", re.IGNORECASE)
    for line in Path("tests/data/class_sentences.txt").read_text(encoding="utf-8").splitlines():
        assert not [one for one in patterns if re.fullmatch(one, line.rstrip(".?!"), re.IGNORECASE)], line
