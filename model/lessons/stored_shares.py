"""The stored shares of sentences that general claims hold for, and their names in the texts of lessons."""

from __future__ import annotations

import re
import tomllib
from functools import cache

from model.assets import ASSETS

FILE = ASSETS / "lessons" / "shares.toml"
DOES_NOT_APPLY = -1  # stored for a sentence that lacks what a claim is about
_NAME = re.compile(r"\{\{(\w+)\}\}")


@cache
def stored_shares() -> dict[str, tuple[int, ...]]:
    """What was measured: name of a share -> percent for each held-out sentence."""
    if not FILE.exists():  # before the first measurement
        return {}
    return {name: tuple(values) for name, values in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


def share_percent(name: str) -> int:
    """A share in percent, over the sentences that have what it is about.

    Raises:
        KeyError: it was not measured.
    """
    values = [one for one in stored_shares()[name] if one != DOES_NOT_APPLY]
    return round(sum(values) / len(values))


def fill_shares(text: str) -> str:
    """The text of a lesson with the measured percentages in the place of `{{name}}`; unmeasured names stay."""
    stored = stored_shares()
    return _NAME.sub(lambda one: str(share_percent(one[1])) if one[1] in stored else one[0], text)


def unmeasured_shares(text: str) -> list[str]:
    """The names of shares in a text that were not measured."""
    return [name for name in _NAME.findall(text) if name not in stored_shares()]
