"""How the text or the sound is read: a pair, a chat turn, marks, languages, a task; drawn once the model is open."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.catalog.permission import STAGE, without_part
from model.trace.typed_text import InputChoices, ModelInput
from viz.frame import lesson_guide, links, model_access, session
from viz.frame.option_row import option_row
from viz.language.language_names import language_names
from viz.language.messages import has_message, say


def bar_input() -> ModelInput:
    """The input of the bar, once the bar shows how the open model can read it."""
    draw(model_access.open_model().choices)  # fetched and opened here, where its progress can be shown
    return model_access.model_input()


def draw(choices: InputChoices) -> None:
    """Draw what the open model lets one choose, in the rooms that the sentence bar left for it."""
    rooms = st.session_state.get("input_rooms")
    if rooms is None:  # drawn already in this run
        return
    st.session_state.input_rooms = None
    if choices.pairs:
        with rooms[0]:
            _type_pair()
    typed_marks = session.has_marks(choices)
    languages = choices.target_languages or choices.source_languages
    if choices.chat or languages or typed_marks or choices.stages:
        with rooms[1], st.popover(_label(choices), icon=":material/input:", key="reading_as"):
            _pick_chat(choices)
            _pick_languages(choices)
            _pick_task(choices)
            _pick_stage(choices)
            if typed_marks:
                st.session_state.marks = st.session_state.get("marks", session.READ)
                option_row(
                    say("input.marks"),
                    [session.READ, session.SPELLED],
                    session.READ,
                    "marks",
                    name=lambda one: say(f"input.{one}"),
                )


def _label(choices: InputChoices) -> str:
    """What the menu says without being opened: languages, a task, a chat turn, spelled marks."""
    state, said = st.session_state, []
    for key in session.TEXT_CHOICES[1:]:
        links.restore(key, _options(choices, key))
    if choices.target_languages:
        source = state.get("source_language") or choices.source or ""
        target = state.get("target_language") or choices.target or ""
        names = language_names(sorted({*choices.source_languages, *choices.target_languages}))
        said.append(f"{names.get(source, source)} → {names.get(target, target) or '?'}".strip())
    if choices.tasks:
        spoken = state.get("source_language") or choices.source
        names = language_names(choices.source_languages)
        said.append(names.get(spoken, spoken) if spoken else say("input.heard_language"))
        said.append(_task_name(state.get("speech_task") or choices.task or choices.tasks[0]))
    if choices.stage is not None:
        said.append(_stage_name(choices, choices.stage))
    if choices.chat and state.get("chat"):
        said.append(say("input.chat_short"))
    if session.has_marks(choices) and state.get("marks") == session.SPELLED:
        said.append(say("input.spelled_short"))
    return ", ".join(said) or say("input.title")


def _options(choices: InputChoices, key: str) -> Sequence[object]:
    """The values that a widget may have."""
    options: dict[str, Sequence[object]] = {
        "source_language": choices.source_languages,
        "target_language": choices.target_languages,
        "speech_task": choices.tasks,
        "chat": (False, True),
    }
    return options.get(key, (session.READ, session.SPELLED))


def _type_pair() -> None:
    state = st.session_state
    # Set anew in each run: a page that was just opened would begin with the widget's own default.
    state.pair = state.get("pair", st.query_params.get("pair", ""))
    typed = st.text_input(
        say("input.pair"),
        key="pair",
        placeholder=say("input.pair"),
        label_visibility="collapsed",
        disabled=lesson_guide.is_locked(),
        persist_state="session",
    )
    links.store("pair", typed or "", "")


def _pick_chat(choices: InputChoices) -> None:
    if choices.chat:
        st.session_state.chat = bool(st.session_state.get("chat"))
        chosen = st.toggle(say("input.chat"), key="chat", help=say("input.chat_help"), persist_state="session")
        links.store("chat", chosen, False)


def _pick_languages(choices: InputChoices) -> None:
    """Lists of the languages of the input and of the output; a model that tells the first itself has no list for it."""
    own = say("input.heard_language" if choices.tasks else "input.own_language")
    for key, codes, default in (
        ("source_language", choices.source_languages, choices.source),
        ("target_language", choices.target_languages, choices.target),
    ):
        if not codes:
            continue
        state, names = st.session_state, language_names(codes)
        state[key] = state.get(key) if state.get(key) in codes else default
        chosen = st.selectbox(
            say("input.spoken_language" if choices.tasks else f"input.{key}"),
            sorted(codes, key=lambda code: names[code].casefold()),
            None,
            names.__getitem__,
            key=key,
            placeholder=own,
            persist_state="session",
        )
        links.store(key, chosen, default)


def _pick_task(choices: InputChoices) -> None:
    """What the model is to write of a sound, where it can do several things."""
    if len(choices.tasks) > 1:
        own = choices.task or choices.tasks[0]
        option_row(say("input.speech_task"), choices.tasks, own, "speech_task", name=_task_name)


def _pick_stage(choices: InputChoices) -> None:
    """Which stage is shown of a model that merges its patches from stage to stage; its name says so from then on."""
    shown = [number for number, name in enumerate(choices.stages) if name]
    if choices.stage is not None:
        st.session_state.stage = choices.stage
        st.segmented_control(
            say("input.stage"),
            shown,
            required=True,
            wrap=True,
            key="stage",
            format_func=lambda number: _stage_name(choices, number),
            help=say("input.stage_help"),
            on_change=_open_stage,
        )


def _open_stage() -> None:
    """Open the chosen stage; a callback."""
    state = st.session_state
    state.model = f"{without_part(session.chosen_model())}{STAGE}{state.stage}"


def _stage_name(choices: InputChoices, number: int) -> str:
    return say("input.stage_name", number=number, patches=choices.stages[number])


def _task_name(task: str) -> str:
    """What a task of a model is called; one that has no words here keeps the model's own name."""
    return say(f"input.task_{task}") if has_message(f"input.task_{task}") else task
