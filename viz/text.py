"""The words of the interface, from `assets/i18n/`; code holds only their ids."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

CATALOGUES = Path(__file__).parent.parent / "assets" / "i18n"


@cache
def _catalogue(language: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((CATALOGUES / f"{language}.toml").read_text(encoding="utf-8"))


def say(key: str, /, **values: object) -> str:
    """The text of `section.name`, with `{placeholders}` filled in.

    Raises:
        KeyError: the catalogue has no such text.
    """
    section, name = key.split(".")
    return _catalogue("en")[section][name].strip().format(**values)


def plain(text: str) -> str:
    """Typed text made safe for Markdown: shown letter by letter, never interpreted."""
    text = re.sub(r"\s+", " ", text).strip()
    # Invisible joiners keep arrows, dashes and links from being made of what was typed.
    text = re.sub(r"(?<=[-<>])(?=[-<>])|(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", "\u2060", text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>$:~&=\"'/@^])", r"\\\1", text)
