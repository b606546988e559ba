"""Which models may be opened on this server, by its settings; nothing on the disk is looked at for what may not."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from model.catalog.entries import CATALOG
from model.errors import ModelError
from model.settings.settings import current

MAX_NAME = 1_000  # letters; longer ones are no name and no path
# Behind the name of a model of two encoders, such as CLIP: the one that reads pictures, not the one that reads text.
PICTURE_HALF = "#image"
# Behind the name of a model that merges patches from stage to stage, such as Swin: which stage is shown.
STAGE = "#stage"
_PART = re.compile(rf"({PICTURE_HALF}|{STAGE}(\d{{1,3}}))$")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")


def without_part(name: str) -> str:
    """The name of a model without what may stand behind it for a part of the model."""
    return _PART.sub("", name)


def chosen_stage(name: str) -> int | None:
    """The stage that a name asks for; None where it asks for none."""
    found = _PART.search(name)
    return int(found[2]) if found and found[2] else None


def check_allowed(name: str) -> None:
    """Raise an error where a model may not be opened here.

    Raises:
        ModelError: "not_allowed", the same whether or not there is such a model; "unknown" for what is no name at all.
    """
    if not name.strip() or len(name) > MAX_NAME or "\0" in name:
        raise ModelError("unknown", "This is no name of a model: give one of the list.")
    name = without_part(name)
    if not (in_catalog(name) or may_be_hub(name) or may_be_folder(name)):
        raise ModelError(
            "not_allowed",
            f"{name!r} may not be opened on this server. Who runs it can allow more: `models` in headlight.toml.",
        )


def in_catalog(name: str) -> bool:
    """Whether a name is that of a model of the catalog which may be opened; one that comes with the app always may."""
    entry = CATALOG.get(name)
    return entry is not None and (entry.folder is not None or "catalogue" in current().models)


def may_be_hub(name: str) -> bool:
    """Whether a name has the form of one of the hub, "owner/name", and may be opened here."""
    models = current().models
    return is_hub_name(name) and ("hub" in models or name in models)


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of one of the hub, "owner/name"."""
    return _HUB_NAME.fullmatch(name) is not None and ".." not in name and "--" not in name


def may_be_folder(name: str) -> bool:
    """Whether a name may be looked up as a folder: any where "folders" are allowed, else one inside a listed folder."""
    if name in CATALOG or not name.strip() or len(name) > MAX_NAME or "\0" in name:
        return False
    models = current().models
    if "folders" in models:
        return True
    roots = [Path(one).resolve() for one in models if Path(one).is_absolute()]
    if not roots or not Path(name).is_absolute():
        return False
    try:
        folder = Path(name).resolve()
    except (OSError, RuntimeError):  # RuntimeError: a circle of links, up to Python 3.12
        return False
    return any(folder.is_relative_to(root) for root in roots)


def account_token(repository: str) -> bool | None:
    """What the hub's library takes as `token`: None for the account's own, False for none.

    The account's token is sent for repositories only that the owner of the server listed.
    """
    listed = current().account_repositories
    return None if any(fnmatchcase(repository, pattern) for pattern in listed) else False
