"""Texts of the interface in the language of the session, from `assets/i18n/`, and escaping of text from users."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from contextvars import ContextVar
from functools import cache

from model.assets import ASSETS

CATALOGUES = ASSETS / "i18n"
ENGLISH = "en"
MAX_LENGTH = 300  # letters of an input that a page repeats
# A context variable, so that functions which build figures and sentences need no language parameter.
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@cache
def message_catalog(language: str) -> dict[str, dict[str, str]]:
    """All texts of a language, by section and name."""
    return tomllib.loads((CATALOGUES / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def languages() -> dict[str, str]:
    """Languages that have a message catalog, English first: code -> name in that language."""
    codes = sorted((path.stem for path in CATALOGUES.glob("*.toml")), key=lambda code: (code != ENGLISH, code))
    return {code: message_catalog(code)["language"]["name"] for code in codes}


def set_language(language: str) -> None:
    """Set the language of all texts in this thread; each run of the app sets it again.

    A language without a message catalog becomes English.
    """
    _language.set(language if language in languages() else ENGLISH)


def current_language() -> str:
    """Code of the language that `say` uses, for cache keys of figures and sentences."""
    return _language.get()


def supported_language(locale: str | None) -> str:
    """Code of the language for a browser's locale, such as "fr-CA"; English where there is no message catalog."""
    code = (locale or ENGLISH).replace("_", "-").split("-")[0].lower()
    return code if code in languages() else ENGLISH


def say(key: str, /, **values: object) -> str:
    """Text of the interface in the current language: the `gettext` of this app.

    Args:
        key: "section.name" in the message catalog; English where the language lacks it.
        values: of the `{placeholders}` in the text.

    Raises:
        KeyError: the English message catalog has no such text.
    """
    section, name = key.split(".")
    text = message_catalog(current_language()).get(section, {}).get(name) or message_catalog(ENGLISH)[section][name]
    return text.strip().format(**values)


def whole_number(count: float) -> str:
    """A number rounded to a whole one, its thousands set apart as the language does."""
    return f"{count:,.0f}".replace(",", say("language.thousand")[1:-3])


def has_message(key: str) -> bool:
    """Whether the English message catalog has a text; key: "section.name"."""
    section, name = key.split(".")
    return name in message_catalog(ENGLISH).get(section, {})


def isolate_rtl(text: str) -> str:
    """Text between Unicode isolates where it has right-to-left letters, which would reorder the words around it."""
    if max(text, default="") < "\u0590":  # the first right-to-left letter
        return text
    is_rtl = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return f"\u2068{text}\u2069" if is_rtl else text


def escape_markdown(text: str) -> str:
    """Markdown that shows a user's text letter by letter; white space is collapsed, right-to-left text isolated."""
    text = re.sub(r"\s+", " ", text).strip()
    # Word joiners keep Markdown from turning the text into arrows, dashes and links.
    text = re.sub(r"(?<=[-<>])(?=[-<>])|(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", "\u2060", text)
    return isolate_rtl(re.sub(r"([\\`*_{}\[\]()#+\-.!|<>$:~&=\"'/@^])", r"\\\1", text))


def abbreviated(text: str, longest: int = MAX_LENGTH) -> str:
    """First and last words of a text of more than `longest` letters, white space collapsed; else the whole text."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    first, last = text[: longest * 2 // 3], text[-longest // 3 :]
    return f"{first.rsplit(maxsplit=1)[0]} … {last.split(maxsplit=1)[-1]}"


def strip_markdown(markdown: str) -> str:
    """Words of a Markdown sentence without its markup, for a screen reader."""
    return re.sub(r"\*\*|\u2060|\\(?=[^\w\s])|:(?:material/\w+|gray|small|orange|green|red)[:\[]", "", markdown)
