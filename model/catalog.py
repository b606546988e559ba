"""The models that can be opened, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.translator import Translator

ASSETS = Path(__file__).parent.parent / "assets"


@dataclass(frozen=True)
class Entry:
    """One model on offer.

    Attributes:
        name: as shown; family: encoder-decoder, encoder or decoder; folder: where its files lie.
        opens_at: attention kind, layer and head to show first: one with a clear pattern.
    """

    name: str
    family: str
    licence: str
    folder: Path
    opens_at: tuple[str, int, int]


CATALOG: dict[str, Entry] = {
    "en-fr": Entry("English → French", "encoder-decoder", "CC-BY 2.0 FR", ASSETS / "en-fr", ("cross", 2, 5)),
}


class ModelNotFoundError(ValueError):
    """No such model; the message lists what there is."""


def load(name: str, device: str = "auto") -> Translator:
    """Open a model, ready to trace.

    Args:
        name: a catalog id, or a folder that `model.train` wrote.
        device: "auto" (CUDA, then MPS, then CPU) or a PyTorch device name.

    Raises:
        ModelNotFoundError: the name is neither.
        ValueError: no such device.
    """
    folder = CATALOG[name].folder if name in CATALOG else Path(name)
    if not (folder / "config.json").is_file():
        known = ", ".join(CATALOG)
        raise ModelNotFoundError(f"There is no model {name!r}: give one of {known}, or a folder with a config.json.")
    # Imported here: the pages' frame can show before PyTorch is there.
    from model.translator import Translator

    return Translator.open(folder, device)


def devices() -> list[str]:
    """The devices of this machine, best first: "cuda", "mps", "cpu"."""
    from model.translator import devices as found

    return found()
