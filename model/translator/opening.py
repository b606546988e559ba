"""Opening a model of the own format: which class of from-scratch model a folder holds, by its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from model.trace.lens import Lens


def open_own_model(folder: Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> Lens:
    """A from-scratch model from a folder that a recipe of `model.training` wrote.

    Raises:
        ValueError: this machine has no such device.
        OSError: a file of the folder is missing.
        ModelError: weights hold NaN or infinite numbers.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "frames" in config:
        from model.translator.video.video_model import VideoModel

        return VideoModel.open(folder, device, dtype)
    if config.get("encoder_layers") == 0:
        from model.translator.language_model import LanguageModel

        return LanguageModel.open(folder, device, dtype)
    from model.translator.translator import Translator

    return Translator.open(folder, device, dtype)
