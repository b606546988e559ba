"""Sentence pairs as somebody else might write them: other names, numbers, times and spelling, both sides alike.

Each function takes a pair and gives one back, unchanged where it finds nothing to change on both sides.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from model.training.data.text import Pair

EVERYDAY = Path(__file__).with_name("everyday.tsv")
NUMBERS = {
    "two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "six": "six", "seven": "sept", "eight": "huit",
    "nine": "neuf", "ten": "dix", "eleven": "onze", "twelve": "douze", "thirteen": "treize", "fourteen": "quatorze",
    "fifteen": "quinze", "sixteen": "seize", "seventeen": "dix-sept", "eighteen": "dix-huit", "nineteen": "dix-neuf",
    "twenty": "vingt", "thirty": "trente", "forty": "quarante", "fifty": "cinquante", "sixty": "soixante",
}  # fmt: skip
HOURS = list(NUMBERS)[:11]  # two to twelve
MEN, WOMEN = ("Tom", "John", "Jim", "Bill", "Bob", "Mike"), ("Mary", "Jane", "Kate", "Susan", "Nancy")
CITIES = ("Boston", "Tokyo", "Kyoto", "Osaka", "Chicago", "Nagoya", "Kobe")
TIME, HEURE = re.compile(r"\b\d{1,2}:\d\d\b"), re.compile(r"\b\d{1,2}(?: ?h ?|:)\d\d\b")


@cache
def everyday() -> dict[str, list[Pair]]:
    """What `everyday.tsv` holds, by the kind that its first column names."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for line in EVERYDAY.read_text(encoding="utf-8").splitlines():
        kind, english, french = line.split("\t")
        found[kind].append((english, french))
    return dict(found)


def starts_with_vowel(word: str) -> bool:
    """Whether "de" becomes "d'" before a French word."""
    return word[:1].lower() in "aeiouyéèêàâîôœ"


def put(french: str, old: str, new: str) -> str:
    """A French sentence with one word for another, "de" and "que" before it shortened or not as they must be."""
    if starts_with_vowel(old) and not starts_with_vowel(new):
        french = re.sub(rf"\b(d|[Qq]u|jusqu|[Ll]orsqu|puisqu|quoiqu)'(?={old}\b)", r"\1e ", french)
    elif starts_with_vowel(new) and not starts_with_vowel(old):
        french = re.sub(rf"\b((?i:de|que|jusque|lorsque|puisque|quoique)) (?={old}\b)", elided, french)
    return re.sub(rf"\b{old}\b", new, french)


def elided(word: re.Match[str]) -> str:
    """ "de " as "d'", "que " as "qu'"."""
    return f"{word[1][:-1]}'"


def exchange(pair: Pair, old: str, new: Pair) -> Pair:
    """The pair with a word that both sides have exchanged on both."""
    english, french = pair
    if not (re.search(rf"\b{old}\b", english) and re.search(rf"\b{old}\b", french)):
        return pair
    return re.sub(rf"\b{old}\b", new[0], english), put(french, old, new[1])


def invented(rng: random.Random) -> Pair:
    """A name that nobody has, such as "Talomir": it can only be copied, letter by letter, never known by heart."""
    starts, vowels, ends = (
        [
            "b",
            "ch",
            "d",
            "f",
            "g",
            "h",
            "j",
            "k",
            "l",
            "m",
            "n",
            "p",
            "r",
            "s",
            "t",
            "v",
            "w",
            "z",
            "br",
            "dr",
            "tr",
            "kl",
        ],
        "aeiou",
        ["l", "m", "n", "r", "s", "t", "nd", "rt"],
    )
    name = "".join(rng.choice(starts) + rng.choice(vowels) for _ in range(rng.randint(1, 3))) + rng.choice(ends)
    return name.capitalize(), name.capitalize()


def rename(pair: Pair, rng: random.Random, made_up: float = 0.3) -> Pair:
    """Other people, men for men and women for women, and other cities; a share of them made up."""
    words = everyday()
    for olds, news in ((MEN, words["man"]), (WOMEN, words["woman"]), (CITIES, words["city"])):
        for old in olds:
            if old in pair[0]:
                new = invented(rng) if rng.random() < made_up else rng.choice(news)
                if new[0] not in pair[0]:
                    pair = exchange(pair, old, new)
    return pair


def renumber(pair: Pair, rng: random.Random) -> Pair:
    """Another number, in digits or in words, where both sides have the same one, once."""
    english, french = pair
    for number in re.findall(r"(?<![\d.,:])\b\d{1,4}\b(?![.,:]\d)", english):
        if int(number) > 1 and all(len(re.findall(rf"\b{number}\b", side)) == 1 for side in pair):
            if "o'clock" in english:
                continue  # the hour is left to `retime`
            low = max(2, 10 ** (len(number) - 1))
            new = str(rng.randrange(low, 10 ** len(number)) if len(number) < 4 else rng.randrange(1900, 2040))
            return re.sub(rf"\b{number}\b", new, english), re.sub(rf"\b{number}\b", new, french)
    for number, nombre in NUMBERS.items():
        if len(re.findall(rf"\b{number}\b", english)) == len(re.findall(rf"(?<!-)\b{nombre}\b(?!-)", french)) == 1:
            new = rng.choice(HOURS if "o'clock" in english else list(NUMBERS))
            french = re.sub(rf"(?<!-)\b{nombre}\b(?!-)", NUMBERS[new], french)
            return re.sub(rf"\b{number}\b", new, english), french
    return pair


def clock(rng: random.Random, late: float = 0.2) -> Pair:
    """A time of day as both languages write it in digits; with a share of hours from 13 on."""
    hour, minute = rng.randint(13, 23) if rng.random() < late else rng.randint(1, 12), 5 * rng.randrange(12)
    minute = rng.randrange(60) if rng.random() < 0.2 else minute
    return f"{hour}:{minute:02}", f"{hour} h {minute:02}"


def retime(pair: Pair, rng: random.Random) -> Pair:
    """Another time where both sides have one in digits, or a whole hour: "at six o'clock" may become "at 7:45"."""
    english, french = pair
    half_day = re.search(r"\b(morning|afternoon|evening|night|[ap]\.?m\b)", english)
    time, heure = clock(rng, 0.0 if half_day else 0.2)
    if len(TIME.findall(english)) == len(HEURE.findall(french)) == 1:
        return TIME.sub(time, english), HEURE.sub(heure, french)
    hour = re.search(r"\b(\w+) o'clock\b", english)
    nombre = NUMBERS.get(hour[1].lower(), hour[1]) if hour else ""
    whole = rf"\b{nombre} heures\b(?! et| moins| \w*(?:quinze|trente|quart))"
    if hour and len(re.findall(whole, french)) == 1:
        return english.replace(hour[0], time), re.sub(whole, heure, french)
    return pair


def british(pair: Pair, rng: random.Random) -> Pair:
    """The English side in British spelling, and some words that only the British use."""
    english = pair[0]
    for american, word in everyday()["spelling"]:
        if american in english:
            english = re.sub(rf"\b{american}\b", word, english)
            english = re.sub(rf"\b{american.capitalize()}\b", word.capitalize(), english)
    return english, pair[1]


def typed(pair: Pair, rng: random.Random) -> Pair:
    """As one types in a hurry: no capital, no full stop, no apostrophe; the French side keeps its capital."""
    english, french = pair
    luck = rng.random()
    if luck < 0.7:
        english = english.lower()
    if luck > 0.4 and english[-1:] in ".!?":
        if english[-1] != "?":
            french = french[:-1].rstrip() if french[-1:] in ".!" else french
        english = english[:-1].rstrip()
    if 0.3 < luck < 0.5:
        english = re.sub(r"(?<=[a-z])'(?=(?:t|s|m|re|ve|ll)\b)", "", english)
    return english, french


def lowered(sentence: str, proper: set[str]) -> str:
    """A sentence as it goes on behind "and"."""
    first = re.match(r"[^\W\d_]+", sentence)
    keep = not first or first[0] in proper or first[0] == "I" or (len(first[0]) > 1 and first[0].isupper())
    return sentence if keep else sentence[0].lower() + sentence[1:]


def join(pair: Pair, other: Pair, proper: set[str], rng: random.Random) -> Pair:
    """Two sentences as one text: one after the other, or with "and", "but", "because" or "when" between statements."""
    luck = rng.random()
    ends = all(side[-1:] == "." and side[-2:-1] != "." for side in (*pair, *other))
    if luck < 0.4 or not ends:
        return f"{pair[0]} {other[0]}", f"{pair[1]} {other[1]}"
    word, mot = rng.choice((("and", "et"), ("and", "et"), ("but", "mais"), (", and", "et"), (", but", ", mais")))
    english = f"{pair[0][:-1]}{'' if word[0] == ',' else ' '}{word} {lowered(other[0], proper)}"
    french = f"{pair[1][:-1].rstrip()}{'' if mot[0] == ',' else ' '}{mot} {lowered(other[1], proper)}"
    return english, french


def proper_words(pairs: Sequence[Pair]) -> set[str]:
    """Words that keep their capital inside a sentence, on either side."""
    capital: dict[str, int] = defaultdict(int)
    for pair in pairs:
        for side in pair:
            for word in re.findall(r"[^\W\d_]+", side)[1:]:
                capital[word] += 1
    return {word for word, count in capital.items() if word[:1].isupper() and count > capital.get(word.lower(), 0)}


def number_of(rng: random.Random) -> Pair:
    """A number, in words or in digits."""
    if rng.random() < 0.5:
        return rng.choice(list(NUMBERS.items()))
    digits = str(rng.randint(2, 99) if rng.random() < 0.7 else rng.randint(100, 999))
    return digits, digits


def slot_fills() -> dict[str, list[Pair]]:
    """What may stand in a slot of a template, by its kind; numbers and times are made instead."""
    words = everyday()
    return {**words, "name": [*words["man"], *words["woman"]], "things": [*words["things"], *words["animals"]]}


def from_template(rng: random.Random) -> Pair:
    """A sentence of everyday life: one of the templates with its slots filled."""
    fills = slot_fills()
    english, french = rng.choice(fills["template"])
    made = {"time": clock, "number": number_of}
    for slot in dict.fromkeys(re.findall(r"{(\w+)}", english)):
        kind = slot.rstrip("23")
        mine, yours = made[kind](rng) if kind in made else rng.choice(fills[kind])
        if kind in ("name", "man", "woman", "city") and rng.random() < 0.3:
            mine, yours = invented(rng)
        english = english.replace("{" + slot + "}", mine)
        french = french.replace("{de things}", "d'" + yours if starts_with_vowel(yours) else "de " + yours)
        french = put(french.replace("{" + slot + "}", "Slot"), "Slot", yours)
    return english[0].upper() + english[1:], french[0].upper() + french[1:]
