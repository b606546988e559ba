"""Downloads from the Hugging Face hub: a repository's weights, tokenizer and config, never code."""

from __future__ import annotations

import io
import socket
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from model.catalog.entries import Hub, Progress
from model.errors import ModelError

# Weights as safetensors, or as a pickle that is read with weights_only; never code, nothing from sub-folders.
FILE_PATTERNS = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors")
PICKLE_PATTERN = "pytorch_model*.bin"
IGNORED_PATTERN = "*/*"


def cached_snapshot(hub: Hub) -> Path | None:
    """The folder of a repository that is complete in the hub's cache; None where it is not. Uses no network."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        config = try_to_load_from_cache(hub.repository, "config.json", revision=hub.revision)
    except HFValidationError:  # not even the shape of a hub name
        return None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    weights = [pattern for pattern in ("*.safetensors", PICKLE_PATTERN) if [*folder.glob(pattern)]]
    if not weights:
        return None
    try:
        snapshot_download(
            hub.repository,
            revision=hub.revision,
            allow_patterns=[*FILE_PATTERNS, *weights],
            ignore_patterns=IGNORED_PATTERN,
            local_files_only=True,
        )
    except LocalEntryNotFoundError:  # an interrupted download
        return None
    return folder


def download_from_hub(hub: Hub, progress: Progress) -> Path:
    """The folder of a repository in the hub's own cache, downloaded first; an interrupted download is resumed.

    Raises:
        ModelError: the repository asks for a login ("gated") or does not exist ("unknown"), the download broke off
            ("interrupted"), or the hub cannot be reached ("no_network").
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.hf_api import RepoFile

    progress(0.0, f"asking the hub for {hub.repository}")
    sizes: dict[str, int] = {}
    try:
        _check_reachable()
        tree = HfApi().list_repo_tree(hub.repository, revision=hub.revision, recursive=True)
        sizes = {file.path: file.size for file in tree if isinstance(file, RepoFile)}
        patterns = (
            [*FILE_PATTERNS]
            if any(file.endswith(".safetensors") for file in sizes)
            else [*FILE_PATTERNS, PICKLE_PATTERN]
        )
        wanted = {
            file: size
            for file, size in sizes.items()
            if any(fnmatch(file, pattern) for pattern in patterns) and not fnmatch(file, IGNORED_PATTERN)
        }
        return _download(hub, patterns, sum(wanted.values()), progress)
    except GatedRepoError as error:
        raise ModelError(
            "gated",
            f"{hub.repository} asks for a login and its licence to be accepted on the hub. Do that, then set HF_TOKEN.",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelError(
            "unknown", f"The hub has no model {hub.repository!r}. Check the spelling: owner/name."
        ) from error
    except Exception as error:  # each HTTP library has its own exceptions for a missing network
        if sizes:
            raise ModelError(
                "interrupted",
                f"The download of {hub.repository} broke off. Try again: it goes on where it stopped.",
            ) from error
        raise ModelError(
            "no_network",
            f"The hub cannot be reached for {hub.repository}. Check the network and try again, or give a local folder.",
        ) from error


def _download(hub: Hub, patterns: list[str], total: int, progress: Progress) -> Path:
    """The downloaded folder. The download runs in a thread; progress is reported in this one, as Streamlit requires."""
    from huggingface_hub import snapshot_download
    from tqdm.auto import tqdm

    done = [0.0]

    class Bar(tqdm):  # type: ignore[misc]
        """A progress bar that counts the bytes of all files and displays nothing."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"file": io.StringIO(), "disable": False}))

        def update(self, n: float | None = 1) -> bool | None:
            refreshed: bool | None = super().update(n)
            if self.unit == "B":
                done[0] = max(done[0], self.n)
            return refreshed

    def fetch() -> str:
        return snapshot_download(
            hub.repository,
            revision=hub.revision,
            allow_patterns=patterns,
            ignore_patterns=IGNORED_PATTERN,
            tqdm_class=Bar,
        )

    pool = ThreadPoolExecutor(1)
    try:
        running = pool.submit(fetch)
        while wait([running], timeout=0.2).not_done:
            share = min(done[0] / max(total, 1), 1.0)
            progress(share, f"downloading {hub.repository}: {done[0] / 1e6:.0f} of {total / 1e6:.0f} MB")
        folder = Path(running.result())
    finally:
        pool.shutdown(wait=False)
    progress(1.0, "ready")
    return folder


def _check_reachable() -> None:
    """Raise OSError where the hub's host accepts no connection; the hub's own client would retry for half a minute."""
    from huggingface_hub import constants

    host = urllib.parse.urlsplit(constants.ENDPOINT)
    if not urllib.request.getproxies():
        port = host.port or (443 if host.scheme == "https" else 80)
        socket.create_connection((host.hostname or "", port), timeout=5).close()
