"""Which font of this computer has which letter, so that no picture and no handout shows an empty box."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry
from matplotlib.ft2font import FT2Font

FIRST = "DejaVu Sans"  # comes with matplotlib; has Arabic and Hebrew, but no Chinese, Japanese, Korean or Devanagari
# Asked before the others, because they are made for text.
GOOD = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "Hiragino Sans", "Malgun Gothic", "WenQuanYi Micro Hei",
    "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Emoji",
)  # fmt: skip
# Fonts for formulas, where a letter may look like another one, and one that draws every letter as a box.
NEVER = re.compile(r"cm[a-z]+\d+|STIXNonUnicode|STIXSiz.*|.*\bMath\b.*|Last ?Resort.*|Wingdings.*|Webdings|Symbol")


def unseen(letter: str) -> bool:
    """Whether a letter leaves no mark: blanks, joiners, marks of direction, variants of the letter before."""
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") or "\ufe00" <= letter <= "\ufe0f"


@cache
def entry_of(family: str, weight: int = 400) -> FontEntry:
    """The file of a family, upright, whose strokes come closest to `weight`."""
    upright = [font for font in font_manager.fontManager.ttflist if font.name == family and font.style == "normal"]
    return min(upright, key=lambda font: (abs(int(font.weight) - weight), font.stretch != "normal"))


@cache
def _covered(family: str) -> frozenset[int]:
    """The letters that a family has, both regular and bold."""
    both = [entry_of(family, weight) for weight in (400, 700)]
    regular, bold = (FT2Font(font.fname, face_index=font.index).get_charmap() for font in both)
    return frozenset(regular) & frozenset(bold)


@lru_cache(maxsize=10_000)
def family_of(letter: str) -> str | None:
    """The family to write a letter with; None where no font of this computer has it."""
    upright = {font.name for font in font_manager.fontManager.ttflist if font.style == "normal"}
    there = {name for name in upright if not NEVER.fullmatch(name)}
    for family in (FIRST, *(name for name in GOOD if name in there), *sorted(there)):
        if ord(letter) in _covered(family):
            return family
    return None


def families(texts: Iterable[str]) -> list[str]:
    """The families that write these texts, DejaVu first."""
    letters = {letter for text in texts for letter in text if not unseen(letter)}
    found = {family_of(letter) for letter in sorted(letters)} - {None, FIRST}
    return [FIRST, *sorted(name for name in found if name)]


def missing(text: str) -> list[str]:
    """The letters of a text that no font of this computer has, each once."""
    return sorted({letter for letter in text if not unseen(letter) and family_of(letter) is None})


def written(text: str, most: int | None = None) -> str:
    """A text as it can be written here: letters that no font has are given by their numbers in Unicode.

    Args:
        most: numbers in a row; where a picture has no room for more, an ellipsis stands for the rest.
    """
    without = missing(text)
    if not without:
        return text
    runs = re.compile(f"[{re.escape(''.join(without))}]+")

    def numbered(run: re.Match[str]) -> str:
        numbers = [f"U+{ord(letter):04X}" for letter in run[0]]
        return f"[{' '.join(numbers[:most])}{' …' if most and len(numbers) > most else ''}]"

    return runs.sub(numbered, text)
