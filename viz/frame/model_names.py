"""Names of the catalog's models in the language of the session: those that are words, such as "Summarizer"."""

from __future__ import annotations

import re

from model.catalog.entries import CATALOG
from model.catalog.store import local_folder
from viz.language.messages import has_message, languages, message_catalog, say

SHORTEST = 3  # letters of a name that are enough to mean it


def model_name(name: str) -> str:
    """A model as people know it, without what stands in brackets; one that is not in the catalog as it was typed.

    Args:
        name: catalog id, hub id or folder.
    """
    if name not in CATALOG:
        return name
    return say(f"model_name.{name}") if has_message(f"model_name.{name}") else CATALOG[name].short_name


def model_state(name: str) -> str:
    """ "here" for a model of the catalog, or its size and licence, which are said before it is fetched."""
    entry = CATALOG[name]
    if local_folder(name):
        return say("bar.here")
    return f"{say('bar.fetch', size=entry.size)}, {short_licence(name)}"


def short_licence(name: str) -> str:
    """The licence of a model of the catalog; of one that forbids commercial use that it does, in words."""
    entry = CATALOG[name]
    return say("bar.non_commercial") if entry.is_non_commercial else entry.licence


def known_model(typed: str) -> str:
    """The catalog id of a model typed by its id or by its name in any language, in any case; else what was typed.

    Of a name its words from one on are enough, and their beginning ("french", "dino"): Enter takes what was typed, and
    not the model that the list shows below it. Of several the catalog's first.
    """
    names = {name.lower(): name for name in CATALOG}
    names |= {entry.name.lower(): name for name, entry in CATALOG.items()}
    names |= {entry.short_name.lower(): name for name, entry in CATALOG.items()}
    names |= {entry.name.split("-")[0].split(" ")[0].lower(): name for name, entry in reversed(CATALOG.items())}
    for language in languages():
        names |= {said.lower(): name for name, said in message_catalog(language).get("model_name", {}).items()}
    typed = typed.strip()
    begun = (name for said, name in names.items() if _begins_word(typed.lower(), said))
    return names.get(typed.lower()) or min(begun, key=[*CATALOG].index, default=typed)


def _begins_word(typed: str, said: str) -> bool:
    """Whether one of a name's words begins with what was typed, which is words itself and no address or path."""
    return len(typed) >= SHORTEST and re.search(rf"(?<!\w){re.escape(typed)}", said) is not None
