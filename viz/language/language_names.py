"""Names of languages in the language of the reader, for the codes that multilingual models have."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from model.assets import ASSETS
from viz.language.messages import ENGLISH, current_language

NAMES = ASSETS / "language_names.toml"


def language_names(codes: Sequence[str]) -> dict[str, str]:
    """Code, such as "fra_Latn", "fr_XX" or "__fra__" -> name of the language, each another one.

    Codes of one language are told apart by their script, else by the code itself; a code without a name stays.
    """
    names = {code: _name(code) for code in codes}
    several = Counter(names.values())
    named = {code: f"{name} ({_rest(code)})" if several[name] > 1 else name for code, name in names.items()}
    twice = Counter(named.values())
    return {code: f"{names[code]} ({code})" if twice[name] > 1 else name for code, name in named.items()}


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(NAMES.read_text(encoding="utf-8"))


def _parts(code: str) -> tuple[str, str]:
    """The language of a code, and what follows it."""
    language, _, rest = code.strip("_<>").replace("-", "_").partition("_")
    return language, rest


def _name(code: str) -> str:
    language, table = _parts(code)[0], _table()
    language = table["aliases"].get(language, language)
    own = table.get(current_language(), {})
    return str(own.get(language) or table[ENGLISH].get(language, code))


def _rest(code: str) -> str:
    """The script of a code, or what else tells it apart."""
    rest = _parts(code)[1]
    scripts = _table().get(current_language(), {}).get("scripts", {})
    return str(scripts.get(rest) or _table()[ENGLISH]["scripts"].get(rest) or rest or code)
