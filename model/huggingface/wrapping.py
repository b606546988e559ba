"""A model object that is already in memory as an opened model."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin

from model.attention.finite_weights import check_finite_weights
from model.errors import ModelError, OpeningError, is_failure
from model.huggingface.loading.pairs import encoder_of_pair
from model.huggingface.sound.sound_model import SoundModel
from model.huggingface.text_model import TextModel
from model.huggingface.vision.vision_model import VisionModel


def wrap_module(module: Any, processor: Any) -> TextModel:
    """The opened model around a module of the library, on the module's own device; as `model.wrap`.

    Raises:
        ModelError: it cannot be opened as a transformer.
    """
    name = type(module).__name__
    if not isinstance(module, PreTrainedModel):
        raise ModelError("not_transformer", f"A transformers.PreTrainedModel is needed; this is a {name}.")
    reads_pictures = isinstance(processor, ImageProcessingMixin)
    opener: Any = VisionModel if reads_pictures else TextModel
    readers, half = [processor], "vision" if reads_pictures else "text"
    if isinstance(processor, ProcessorMixin) and hasattr(processor, "feature_extractor"):
        opener, readers = SoundModel, [processor.tokenizer, processor.feature_extractor]
    try:
        check_finite_weights(module)
        part = encoder_of_pair(module, half)
        lens: TextModel = opener(part, *readers, str(module.device))
    except ModelError:
        raise
    except BaseException as error:  # whatever a family raises that does not run as text or pictures do
        if not is_failure(error):
            raise
        why = f"{error}" if isinstance(error, OpeningError) else "it does not run on a short input of its kind"
        raise ModelError("not_transformer", f"{name} cannot be shown: {why}.") from error
    lens.is_half = part is not module
    return lens
