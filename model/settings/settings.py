"""What a server allows its visitors, and what holds in this process."""

from __future__ import annotations

from dataclasses import dataclass

SOURCES = ("catalogue", "hub", "folders")


@dataclass(frozen=True)
class Settings:
    """What a server allows; by default everything, as for somebody alone at a computer.

    Attributes:
        models: which models may be opened: "catalogue" (those in the list), "hub" (any of the Hugging Face hub),
            "folders" (any folder), the path of a folder (it and the folders in it), or one repository ("owner/name").
            The bundled translator is always there.
        largest_model: bytes of memory that a model may need; None for what is free.
        largest_download: bytes of a model's files that may be fetched; None for what the disk has room for.
        tokens_per_text: tokens that a text may have; None for what the model and Headlight read.
        uploads: whether pictures may be uploaded.
        sessions: browsers that may be connected at once; None for any number.
        account_repositories: hub repositories for which the token of this computer's account is sent; "*" stands for
            any letters.
    """

    models: tuple[str, ...] = SOURCES
    largest_model: float | None = None
    largest_download: float | None = None
    tokens_per_text: int | None = None
    uploads: bool = True
    sessions: int | None = None
    account_repositories: tuple[str, ...] = ("*",)

    def catalogue_only(self) -> bool:
        """Whether nothing may be opened but models of the list."""
        return not any("/" in one or one in ("hub", "folders") for one in self.models)


ALONE = Settings()
# Where other computers reach the server, unless its owner says otherwise.
SHARED = Settings(models=("catalogue",), sessions=60, account_repositories=())

_current = ALONE  # scripts and commands are their owner's; a server installs what it read at its start


def current() -> Settings:
    """The settings that hold in this process."""
    return _current


def install(settings: Settings) -> None:
    """Let other settings hold from now on, for all threads."""
    global _current
    _current = settings
