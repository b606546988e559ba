"""Models in the cache of the Hugging Face hub's own library, on this machine; nothing here uses the network."""

from __future__ import annotations

from pathlib import Path

from model.catalog.entries import Hub

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
