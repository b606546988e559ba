"""What a session knows of the screen it is on: texts of a touch screen speak of no mouse and no key."""

from __future__ import annotations

import re

import pytest
import streamlit as st

from viz.frame.session import by_touch, say_to_hand
from viz.language.messages import ENGLISH, languages, message_catalog, say, set_language

PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36"
TABLET = "Mozilla/5.0 (Linux; Android 14; SM-X510) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"
# What only a mouse or keys do, in the languages of the interface.
NOT_BY_HAND = re.compile(
    r"right-click|rechtsklick|clic droit|clic derecho|hover|survol|shift|umschalt|\bmaj\b|mayús|arrow|pfeiltaste|flèche"
    r"|flecha|zeiger|pointeur|puntero|pointez|señal|point at|zeige? (auf|darauf)",
    re.IGNORECASE,
)


def asked_by(monkeypatch: pytest.MonkeyPatch, agent: str) -> None:
    monkeypatch.setattr(type(st.context), "headers", {"User-Agent": agent})


@pytest.mark.parametrize(("agent", "touch"), [(PHONE, True), (TABLET, True), (DESKTOP, False)])
def test_a_touch_screen_is_told_what_touch_does(monkeypatch: pytest.MonkeyPatch, agent: str, touch: bool) -> None:
    asked_by(monkeypatch, agent)
    assert by_touch() == touch
    assert say_to_hand("heads.mosaic_look") == say("heads.mosaic_look_touch" if touch else "heads.mosaic_look")
    assert say_to_hand("heads.title") == say("heads.title")  # where both are told the same


@pytest.mark.parametrize("language", languages())
def test_no_text_of_a_touch_screen_asks_for_mouse_or_keys(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    asked_by(monkeypatch, PHONE)
    set_language(language)
    try:
        # Introductions and what the figures ask for.
        english = message_catalog(ENGLISH)
        places = {(section, name) for section, texts in english.items() for name in texts if f"{name}_touch" in texts}
        places |= {(section, "intro") for section, texts in english.items() if "intro" in texts}
        told = {f"{section}.{name}": say_to_hand(f"{section}.{name}", languages="") for section, name in places}
        found = {key: text for key, text in told.items() if NOT_BY_HAND.search(text)}
        assert not found
    finally:
        set_language(ENGLISH)
