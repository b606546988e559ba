"""Names of the catalog's models in the language of the session: those that are words, such as "Summarizer"."""

from __future__ import annotations

from model.catalog.entries import CATALOG
from viz.language.messages import has_message, languages, message_catalog, say


def model_name(name: str) -> str:
    """A model as people know it, without what stands in brackets; one that is not in the catalog as it was typed.

    Args:
        name: catalog id, hub id or folder.
    """
    if has_message(f"model_name.{name}"):
        return say(f"model_name.{name}")
    return CATALOG[name].short_name if name in CATALOG else name


def known_model(typed: str) -> str:
    """The catalog id of a model typed by its id or by its name in any language, in any case; else what was typed."""
    names = {name.lower(): name for name in CATALOG}
    names |= {entry.name.lower(): name for name, entry in CATALOG.items()}
    names |= {entry.short_name.lower(): name for name, entry in CATALOG.items()}
    names |= {entry.name.split("-")[0].split(" ")[0].lower(): name for name, entry in reversed(CATALOG.items())}
    for language in languages():
        names |= {said.lower(): name for name, said in message_catalog(language).get("model_name", {}).items()}
    return names.get(typed.strip().lower(), typed.strip())
