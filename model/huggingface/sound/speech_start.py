"""The ids that the decoder of a model of speech is fed first: language, task, no times, as its own settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.errors import InputError, OpeningError
from model.trace.typed_text import InputChoices


@dataclass(frozen=True)
class SpeechStart:
    """How an output begins.

    Attributes:
        start: the first id.
        language: the id of the language, None where it is heard or there is none to tell.
        languages: the ids to choose from where it is heard; empty where it is not.
        behind: what follows: the task, and that no times are written.
    """

    start: int
    language: int | None
    languages: tuple[int, ...]
    behind: tuple[int, ...]

    def ids(self, heard: int | None) -> list[int]:
        """All of them. heard: the language that was heard"""
        language = self.language if self.language is not None else heard
        return [self.start, *([] if language is None else [language]), *self.behind]


def speech_start(
    start: int, settings: Any, config: Any, language: str | None = None, task: str | None = None
) -> SpeechStart:
    """How the output of a model begins, as the library's own `generate` has it with the same arguments.

    Args:
        start: the first id; settings: of generation; config: of the model, which older folders keep ids in.
        language, task: of `speech_choices`; None for the settings' own.

    Raises:
        OpeningError: the settings name what they do not list.
        InputError: the model does not hear the language, or does not have the task.
    """
    known, tasks = _listed(settings, "lang_to_id"), _listed(settings, "task_to_id")
    if language is not None and f"<|{language}|>" not in known:
        raise InputError("no_language_heard", f"This model does not hear {language!r}.", language=language)
    if task is not None and task not in tasks:
        raise InputError("no_task", f"This model does not do {task!r} with a sound.", task=task)
    language, task = language or getattr(settings, "language", None), task or getattr(settings, "task", None)
    forced: list[Any] = []
    if task is None and language is None:  # the old way to say it: a list of places and ids
        pairs = getattr(settings, "forced_decoder_ids", None) or getattr(config, "forced_decoder_ids", None) or ()
        forced = [one for _, one in sorted(pairs)]
    own = forced[0] if forced else None
    behind = [one for one in forced[1:] if one is not None]
    if language is not None:
        own = _find(known, str(language).strip("<|>").lower())
        task = task or ("transcribe" if tasks else None)
    if task is not None:
        if task not in tasks:
            raise OpeningError("its settings name a task that they do not list")
        behind.append(tasks[task])
    silent = getattr(settings, "no_timestamps_token_id", None)
    last = behind[-1] if behind else own
    if silent is not None and last != silent and not getattr(settings, "return_timestamps", False):
        behind.append(silent)
    heard = tuple(known.values()) if own is None else ()
    return SpeechStart(start, own, heard, tuple(behind))


def speech_choices(settings: Any, config: Any) -> InputChoices:
    """The languages and the tasks that a model's settings list, and its own; none where they list a single one."""
    known, tasks = _listed(settings, "lang_to_id"), tuple(_listed(settings, "task_to_id"))
    if len(known) < 2:
        return InputChoices()
    own = speech_start(0, settings, config)
    codes = {number: code.strip("<|>") for code, number in known.items()}
    chosen = [name for name in tasks if _listed(settings, "task_to_id")[name] in own.behind]
    first = "" if own.language is None else codes.get(own.language, "")
    return InputChoices(
        source_languages=tuple(codes.values()),
        source=first or None,
        tasks=tasks,
        task=next(iter([*chosen, *tasks]), None),
    )


def _listed(settings: Any, name: str) -> Mapping[str, int]:
    """What generation settings list under a name: name -> id; empty where they list nothing."""
    return getattr(settings, name, None) or {}


def _find(known: Mapping[str, int], language: str) -> int:
    """The id of a language by its code or its English name."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    code = TO_LANGUAGE_CODE.get(language, language)
    if f"<|{code}|>" not in known:
        raise OpeningError("its settings name a language that they do not list")
    return known[f"<|{code}|>"]
