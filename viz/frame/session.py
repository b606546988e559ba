"""Choices of one browser session, read from `st.session_state` without opening a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.trace.edits import Edits
from model.trace.typed_text import InputChoices, SpokenSound, TypedText
from viz.figures.theme import DARK, LIGHT, Palette, high_contrast
from viz.language.messages import has_message, say

PICTURES = {path.stem: str(path) for path in sorted((ASSETS / "pictures").glob("*.png"))}  # name -> file
CLIPS = {path.stem: str(path) for path in sorted((ASSETS / "clips").glob("*.gif"))}
SOUNDS = {path.stem: str(path) for path in sorted((ASSETS / "sounds").glob("*.wav"))}
SHOWN = {"image": PICTURES, "video": CLIPS, "sound": SOUNDS}  # kind of input -> the examples of it
READ, SPELLED = "read", "spelled"  # values of the widget "marks"
# Keys of how the text or the sound is read.
TEXT_CHOICES = ("pair", "chat", "marks", "source_language", "target_language", "speech_task")
PICKED = ("changed_encoder", "changed_decoder")  # tokens that a page picks for a text, until a person does
# What a card of Uses, a sentence of Lab, or an offer asked for: model, maybe page, example, head.
REQUEST = "uses_request"
OWN, FORCED = "own", "forced"  # values of the widget "whose": the model's own output, or one that the user typed


class Halt(Exception):  # noqa: N818  (not an error: the page has already said why it ends)
    """Ends a page early; unlike `st.stop`, the frame around the page is still drawn."""


def halt(said: str, *, of_input: bool = False) -> NoReturn:
    """End the page with a sentence on what it cannot be drawn for.

    Args:
        of_input: whether it speaks of the model or the text in the bar, and so stands there, under the box.

    Raises:
        Halt: always.
    """
    place: Any = input_room() if of_input else st
    place.info(said, icon=":material/info:")
    raise Halt


def input_room() -> DeltaGenerator:
    """The room under the box at the top, for what is to be said of the model or the text in it."""
    room: DeltaGenerator = st.session_state.output_line
    return room


def chosen_model() -> str:
    """The id of the chosen model; the first of the catalog where the box was cleared."""
    return st.session_state.model or next(iter(CATALOG))


def coming_model() -> str:
    """The id of the model that this run of the app opens, before any widget is drawn."""
    state = st.session_state
    request: Mapping[str, str] = state.get(REQUEST) or {}
    return request.get("model") or state.get("model") or st.query_params.get("model") or next(iter(CATALOG))


def set_edits(edits: Edits) -> None:
    """Store the edits of this session; for callbacks of widgets."""
    st.session_state.edits = edits.text()


def on_phone() -> bool:
    """Whether a phone asks, by what its browser says of itself."""
    headers = st.context.headers
    return headers.get("Sec-CH-UA-Mobile") == "?1" or "Mobi" in headers.get("User-Agent", "")


def by_touch() -> bool:
    """Whether a phone or tablet asks, as far as its browser says so; that of an iPad says that it is a Mac."""
    agent = st.context.headers.get("User-Agent", "")
    return on_phone() or "Android" in agent or "iPad" in agent


def say_to_hand(key: str, /, **values: object) -> str:
    """The text `say` returns; on a touch screen the one whose name ends in "_touch", where there is one."""
    touch = f"{key}_touch"
    return say(touch if by_touch() and has_message(touch) else key, **values)


def palette() -> Palette:
    """The palette of the browser's theme, with more contrast in projector mode."""
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    return high_contrast(theme) if st.session_state.get("projector") else theme


def set_aside(keys: Iterable[str]) -> None:
    """Remember the values under these keys for `put_back`, unless some are remembered already."""
    state = st.session_state
    if "aside" not in state:
        state.aside = {key: state[key] for key in keys if key in state}


def put_back(missing: Mapping[str, object]) -> None:
    """Set the values again that were set aside; for callbacks of widgets. missing: values of keys that had none"""
    state = st.session_state
    if "aside" in state:
        state.update({**missing, **state.pop("aside")})


def has_marks(choices: InputChoices) -> bool:
    """Whether what is typed contains a mark of the model's."""
    state = st.session_state
    typed = f"{state.get('text', '')} {state.get('pair', '') if choices.pairs else ''}"
    return any(mark and mark in typed for mark in choices.marks)


def typed_text(text: str, choices: InputChoices) -> str | TypedText:
    """A text with what is chosen for it; the text alone where nothing is."""
    state = st.session_state
    pair = state.get("pair") or "" if choices.pairs else ""
    typed = TypedText(
        text,
        pair if pair.strip() else None,
        bool(choices.chat and state.get("chat")),
        not (has_marks(choices) and state.get("marks") == SPELLED),
        _chosen("source_language", choices.source_languages, choices.source),
        _chosen("target_language", choices.target_languages, choices.target),
    )
    return text if typed == TypedText(text) else typed


def spoken_sound(sound: str | bytes, choices: InputChoices) -> str | bytes | SpokenSound:
    """A sound with what is chosen for it; the sound alone where nothing is."""
    spoken = SpokenSound(
        sound,
        _chosen("source_language", choices.source_languages, choices.source),
        _chosen("speech_task", choices.tasks, choices.task),
    )
    return sound if spoken == SpokenSound(sound) else spoken


def type_text(text: str) -> None:
    """Type a text in the reader's place, without choices of how it is read; a callback."""
    forget_text_choices()
    st.session_state.text = text


def forget_text_choices() -> None:
    """Choose nothing, for a text that is set by a button or a lesson."""
    for key in (*TEXT_CHOICES, *PICKED):
        st.session_state.pop(key, None)
        st.query_params.pop(key, None)


def _chosen(key: str, options: Sequence[str], default: str | None) -> str | None:
    """What is chosen under a key; None where it is the model's own."""
    chosen = st.session_state.get(key)
    return chosen if chosen in options and chosen != default else None
