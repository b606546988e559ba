"""The models that can be opened, and where each comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.huggingface import HuggingFace
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


def load(name: str, device: str = "auto") -> Translator | HuggingFace:
    """Open a model, ready to trace.

    Args:
        name: a catalog id, a Hugging Face hub name, or a folder with a model of `model.train` or of Hugging Face.
        device: "auto" (CUDA, then MPS, then CPU) or a PyTorch device name.

    Raises:
        ModelNotFoundError: there is no such model, or it cannot be reached.
        ValueError: no such device, or the folder holds no transformer.
    """
    folder = CATALOG[name].folder if name in CATALOG else Path(name)
    config = folder / "config.json"
    # Imported here: the pages' frame can show before PyTorch is there, and transformers only where it is needed.
    if config.is_file() and "model_type" not in json.loads(config.read_text(encoding="utf-8")):
        from model.translator import Translator

        return Translator.open(folder, device)
    from model.huggingface import HuggingFace

    try:
        return HuggingFace.open(folder if folder.is_dir() else name, device)
    except OSError as error:
        known = ", ".join(CATALOG)
        raise ModelNotFoundError(
            f"There is no model {name!r}: give one of {known}, a folder with a config.json, or the name of a model "
            f"on the Hugging Face hub, and a network to reach it. ({str(error).splitlines()[0]})"
        ) from error


def devices() -> list[str]:
    """The devices of this machine, best first: "cuda", "mps", "cpu"."""
    from model.device import devices as found

    return found()
