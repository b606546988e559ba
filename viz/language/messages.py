"""The words of the interface, from `assets/i18n/`; code holds only their ids."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from contextvars import ContextVar
from functools import cache

from model.assets import ASSETS

CATALOGUES = ASSETS / "i18n"
ENGLISH = "en"
LONG = 300  # letters of a text that are repeated on a page
# Of the run that is going on; figures and sentences are made without being told the language.
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@cache
def catalogue(language: str) -> dict[str, dict[str, str]]:
    """All texts of a language, by section and name."""
    return tomllib.loads((CATALOGUES / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def languages() -> dict[str, str]:
    """The languages there are catalogues for, English first: code and own name."""
    codes = sorted((path.stem for path in CATALOGUES.glob("*.toml")), key=lambda code: (code != ENGLISH, code))
    return {code: catalogue(code)["language"]["name"] for code in codes}


def speak(language: str) -> None:
    """Say everything in this language from now on, in this thread: to be set anew at every run of the app."""
    _language.set(language if language in languages() else ENGLISH)


def spoken() -> str:
    """The language that things are said in, for whatever keeps sentences or figures."""
    return _language.get()


def nearest(locale: str | None) -> str:
    """The language to greet a browser with that prefers `locale`, such as "fr-CA"."""
    code = (locale or ENGLISH).replace("_", "-").split("-")[0].lower()
    return code if code in languages() else ENGLISH


def say(key: str, /, **values: object) -> str:
    """The text of `section.name`, with `{placeholders}` filled in; in English where the language lacks it.

    Raises:
        KeyError: the English catalogue has no such text.
    """
    section, name = key.split(".")
    text = catalogue(spoken()).get(section, {}).get(name) or catalogue(ENGLISH)[section][name]
    return text.strip().format(**values)


def known(key: str) -> bool:
    """Whether there is such a text."""
    section, name = key.split(".")
    return name in catalogue(ENGLISH).get(section, {})


def isolate(text: str) -> str:
    """Text with right-to-left letters fenced in, so that it does not turn the words around it."""
    if max(text, default="") < "\u0590":  # the first of them
        return text
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return f"\u2068{text}\u2069" if turned else text


def plain(text: str) -> str:
    """Typed text made safe for Markdown: shown letter by letter, never interpreted."""
    text = re.sub(r"\s+", " ", text).strip()
    # Invisible joiners keep arrows, dashes and links from being made of what was typed.
    text = re.sub(r"(?<=[-<>])(?=[-<>])|(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", "\u2060", text)
    return isolate(re.sub(r"([\\`*_{}\[\]()#+\-.!|<>$:~&=\"'/@^])", r"\\\1", text))


def brief(text: str) -> str:
    """A long text as its first and last words; the whole of it stands in the box where it was typed."""
    text = " ".join(text.split())
    if len(text) <= LONG:
        return text
    first, last = text[: LONG * 2 // 3], text[-LONG // 3 :]
    return f"{first.rsplit(maxsplit=1)[0]} … {last.split(maxsplit=1)[-1]}"


def unmarked(markdown: str) -> str:
    """The words of a Markdown sentence, for a screen reader."""
    return re.sub(r"\*\*|\u2060|\\(?=[^\w\s])|:(?:material/\w+|gray|small|orange|green|red)[:\[]", "", markdown)
