"""What a repository of the Hugging Face hub holds for a model: weights, tokenizer and config, never code."""

from __future__ import annotations

import re
import socket
import urllib.parse
import urllib.request
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from model.catalog.downloads.plan import Plan, RemoteFile
from model.catalog.entries import Hub
from model.catalog.hub_cache import FILE_PATTERNS, PICKLE_PATTERN
from model.catalog.permission import account_token
from model.errors import ModelError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoFile

LONGEST_LICENCE = 60  # letters of the name of a licence
PLAIN_NAME = re.compile(r"[^\W_.][\w.+-]*|_[\w.+-]+", re.ASCII)  # a file's name, without a path and not hidden


def plan_from_hub(name: str, hub: Hub) -> Plan:
    """The files that make up a model on the hub, with sizes and checksums; asks the hub, and fetches none.

    The token of this computer's account is sent only for repositories that the settings list.

    Args:
        name: of the model here.

    Raises:
        ModelError: the repository asks for a login ("gated"), does not exist ("unknown") or holds no model, or the hub
            cannot be reached ("no_network").
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return _plan(name, hub)
    except ModelError:
        raise
    except GatedRepoError as error:
        raise ModelError(
            "gated",
            f"{hub.repository} asks for a login and its licence to be accepted on the hub. Do that, then set HF_TOKEN, "
            f"and list it under account_repositories in headlight.toml.",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelError(
            "unknown", f"The hub has no model {hub.repository!r}. Check the spelling: owner/name."
        ) from error
    except Exception as error:  # each HTTP library has its own exceptions for a missing network
        raise ModelError(
            "no_network",
            f"The hub cannot be reached for {hub.repository}. Check the network and try again, or give a local folder.",
        ) from error


def _plan(name: str, hub: Hub) -> Plan:
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils._headers import build_hf_headers

    _check_reachable()
    token = account_token(hub.repository)
    api = HfApi(token=token)
    commit, licence = hub.revision, ""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        about = api.model_info(hub.repository, revision=hub.revision)
        commit, licence = about.sha or hub.revision, _licence(about)
    tree = api.list_repo_tree(hub.repository, revision=commit)
    files = [file for file in tree if isinstance(file, RepoFile)]
    patterns = [*FILE_PATTERNS]
    if not any(file.path.endswith(".safetensors") for file in files):
        patterns.append(PICKLE_PATTERN)
    wanted = [
        file
        for file in files
        if PLAIN_NAME.fullmatch(file.path) and any(fnmatch(file.path, pattern) for pattern in patterns)
    ]
    if not any(file.path in ("config.json", "adapter_config.json") for file in wanted):
        raise ModelError("unknown", f"{hub.repository!r} is on the hub, but holds no model: it has no config.json.")
    headers = build_hf_headers(token=token)
    found = [
        RemoteFile(
            file.path,
            hf_hub_url(hub.repository, file.path, revision=commit),
            file.size,
            _digest(file),
            headers,
        )
        for file in wanted
    ]
    return Plan(name, hub.repository, tuple(found), commit, licence=licence)


def _licence(about: ModelInfo) -> str:
    """The licence that a repository's card names, on one line and not endless; "" for none."""
    card: dict[str, Any] = about.card_data.to_dict() if about.card_data else {}
    named = card.get("license_name") if card.get("license") == "other" else None
    licence = named or card.get("license") or ""
    said = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence)
    return " ".join(said.split())[:LONGEST_LICENCE]


def _digest(file: RepoFile) -> str:
    return f"sha256:{file.lfs.sha256}" if file.lfs else f"git:{file.blob_id}"


def _check_reachable() -> None:
    """Raise OSError where the hub's host accepts no connection; the hub's own client would retry for half a minute."""
    from huggingface_hub import constants

    host = urllib.parse.urlsplit(constants.ENDPOINT)
    if not urllib.request.getproxies():
        port = host.port or (443 if host.scheme == "https" else 80)
        socket.create_connection((host.hostname or "", port), timeout=5).close()
