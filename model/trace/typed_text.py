"""A typed text or a sound with how it is to be read, and what a model lets one choose for that (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TypedText:
    """A text and how a model is to read it; a plain `str` stands for one with nothing chosen.

    Attributes:
        text: as typed.
        pair: a second sentence, for models trained on pairs.
        chat: the text as a user's turn of the model's chat template.
        marks: True reads marks typed by hand, such as "[MASK]" or "</s>", as the marks; False spells them out.
        source_language, target_language: of the text and of the output, as codes of the model's own; None for the
            model's default.
    """

    text: str
    pair: str | None = None
    chat: bool = False
    marks: bool = True
    source_language: str | None = None
    target_language: str | None = None


@dataclass(frozen=True)
class SpokenSound:
    """A sound and how a model is to hear it; its path or its bytes alone stand for one with nothing chosen.

    Attributes:
        sound: the path of its file, or the file's content.
        source_language: that is spoken, as a code of the model's own; None for the model's default.
        task: what to write of it, a name of the model's own such as "translate"; None for the model's default.
    """

    sound: str | bytes
    source_language: str | None = None
    task: str | None = None


# Of a picture or sound: its path, or the content of its file.
ModelInput = str | TypedText | bytes | SpokenSound


@dataclass(frozen=True)
class InputChoices:
    """What may be chosen for a typed text or a sound of a model.

    Attributes:
        pairs: whether it takes a second sentence; chat: whether it has a chat template.
        marks: the marks of its tokenizer that may be typed by hand and may be spelled out.
        source_languages, target_languages: codes of the languages it takes; empty where there is none to choose.
        source, target: the languages without a choice; None where the model names none.
        stages: of a model that merges patches from stage to stage, rows and columns of each, such as "14 × 14"; "" for
            one that cannot be shown; empty for other models. stage: the one that is shown.
        tasks: names of what may be written of a sound; task: the one without a choice.
    """

    pairs: bool = False
    chat: bool = False
    marks: tuple[str, ...] = ()
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    source: str | None = None
    target: str | None = None
    tasks: tuple[str, ...] = ()
    task: str | None = None
    stages: tuple[str, ...] = ()
    stage: int | None = None


def as_typed(text: str | TypedText) -> TypedText:
    """A text with how it is to be read; nothing is chosen for a plain one."""
    return TypedText(text) if isinstance(text, str) else text
