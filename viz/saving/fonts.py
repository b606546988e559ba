"""Choice of installed fonts by the letters they have, so that no image or handout shows an empty box."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry
from matplotlib.ft2font import FT2Font

# Comes with matplotlib; has Arabic and Hebrew letters, but no Chinese, Japanese, Korean or Devanagari ones.
DEFAULT_FAMILY = "DejaVu Sans"
# Tried before other families, because they are made for text.
PREFERRED_FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "Hiragino Sans", "Malgun Gothic", "WenQuanYi Micro Hei",
    "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Emoji",
)  # fmt: skip
# Fonts for formulas, where a code point may have another letter's glyph, and one that draws every letter as a box.
EXCLUDED_FAMILIES = re.compile(
    r"cm[a-z]+\d+|STIXNonUnicode|STIXSiz.*|.*\bMath\b.*|Last ?Resort.*|Wingdings.*|Webdings|Symbol"
)


def is_invisible(letter: str) -> bool:
    """Whether a letter has no glyph of its own: white space, joiners, direction marks, variation selectors."""
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") or "\ufe00" <= letter <= "\ufe0f"


@cache
def font_entry(family: str, weight: int = 400) -> FontEntry:
    """Upright font file of a family whose weight is nearest to `weight`.

    Raises:
        ValueError: this computer has no upright font of the family.
    """
    upright = [font for font in font_manager.fontManager.ttflist if font.name == family and font.style == "normal"]
    return min(upright, key=lambda font: (abs(int(font.weight) - weight), font.stretch != "normal"))


@cache
def _covered_letters(family: str) -> frozenset[int]:
    """Code points that both the regular and the bold font of a family have."""
    both = [font_entry(family, weight) for weight in (400, 700)]
    try:
        regular, bold = (FT2Font(font.fname, face_index=font.index).get_charmap() for font in both)
    except (OSError, RuntimeError):  # its file has gone since matplotlib looked, or is damaged
        return frozenset()
    return frozenset(regular) & frozenset(bold)


@lru_cache(maxsize=10_000)
def font_family(letter: str) -> str | None:
    """First family that has a letter, `DEFAULT_FAMILY` and `PREFERRED_FAMILIES` first; None where no font has it."""
    upright = {font.name for font in font_manager.fontManager.ttflist if font.style == "normal"}
    installed = {name for name in upright if not EXCLUDED_FAMILIES.fullmatch(name)}
    preferred = (name for name in PREFERRED_FAMILIES if name in installed)
    for family in (DEFAULT_FAMILY, *preferred, *sorted(installed)):
        if ord(letter) in _covered_letters(family):
            return family
    return None


def font_families(texts: Iterable[str]) -> list[str]:
    """Families that together have the letters of the texts, `DEFAULT_FAMILY` first."""
    letters = {letter for text in texts for letter in text if not is_invisible(letter)}
    others = {font_family(letter) for letter in sorted(letters)} - {None, DEFAULT_FAMILY}
    return [DEFAULT_FAMILY, *sorted(name for name in others if name)]


def missing_letters(text: str) -> list[str]:
    """Distinct letters of a text that no font of this computer has."""
    return sorted({letter for letter in text if not is_invisible(letter) and font_family(letter) is None})


def replace_missing_letters(text: str, most: int | None = None) -> str:
    """Text with the letters that no font has replaced by their code points, such as "[U+16D40]".

    Args:
        text: of any script.
        most: code points in a row; an ellipsis replaces further ones. None for all.
    """
    letters = missing_letters(text)
    if not letters:
        return text

    def code_points(run: re.Match[str]) -> str:
        """Code points of a run of missing letters, in brackets."""
        points = [f"U+{ord(letter):04X}" for letter in run[0]]
        return f"[{' '.join(points[:most])}{' …' if most and len(points) > most else ''}]"

    return re.sub(f"[{re.escape(''.join(letters))}]+", code_points, text)
