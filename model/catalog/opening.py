"""Opening a model in this process, of files or in memory: device, memory, and the class that fits its input."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.catalog.entries import Progress
from model.errors import ModelError, OpeningError, is_failure, is_out_of_memory

# What is said of files that were looked at before anything was opened; the message then names the model, too.
UNREAD = ("not_transformer", "files_damaged")
# Errors of the libraries that read files, by name, and what they say where the error is one of every kind.
DAMAGE = {"JSONDecodeError", "UnicodeDecodeError", "SafetensorError", "EOFError", "UnpicklingError", "BadZipFile"}
SAYS_DAMAGE = re.compile(
    r"PytorchStreamReader|unexpected (end|EOF)|end of file|at line \d+ column \d+|could not parse ModelProto|"
    r"[Cc]orrupt|Unable to load weights from pytorch checkpoint"
)

if TYPE_CHECKING:
    from model.trace.lens import Lens


def load_in_process(
    name: str, device: str = "auto", progress: Progress | None = None, *, dtype: str = "float32"
) -> Lens:
    """A model opened in this process, ready to trace; as `model.load`, which may use a server instead.

    Raises:
        ModelError: no such model, no source can be reached, it does not fit into memory, or it is no transformer.
        ValueError: no such device or number format.
    """
    # Imported here: the pages' frame is drawn before PyTorch is imported, and not every model needs transformers.
    from model.attention.devices import find_device, find_dtype, split_device_choice
    from model.catalog.fetching import find_or_fetch
    from model.catalog.folder_check import read_json
    from model.catalog.permission import chosen_stage
    from model.catalog.store import input_kind
    from model.memory.fit import check_memory_fits
    from model.memory.gguf_header import gguf_file

    folder = find_or_fetch(name, progress or (lambda share, what: None))
    if file := gguf_file(folder):
        folder = _from_gguf(name, file)
    _check_files(name, folder)
    adapter = None
    if not (folder / "config.json").is_file():  # an adapter alone: it is merged into the model that it names
        adapter, folder = folder, find_or_fetch(_base_of(name, folder), progress or (lambda share, what: None))
        _check_files(name, folder)
    check_memory_fits(name, folder)
    device, dtype = split_device_choice(device, dtype)
    number_format = find_dtype(dtype)
    find_device(device)  # raises before gigabytes are read
    try:
        if "model_type" not in read_json(folder / "config.json"):
            from model.translator.opening import open_own_model

            return open_own_model(folder, device, number_format)
        kind = input_kind(folder, name)
        if kind == "image":
            from model.huggingface.vision.vision_model import VisionModel

            return VisionModel.open(folder, device, number_format, adapter, chosen_stage(name))
        if kind == "sound":
            from model.huggingface.sound.sound_model import SoundModel

            return SoundModel.open(folder, device, number_format)
        from model.huggingface.text_model import TextModel

        return TextModel.open(folder, device, number_format, adapter)
    except ModelError:
        raise
    # Whatever a library raises: each has errors of its own, and a panic of Rust code is not even an Exception.
    except BaseException as error:
        if not is_failure(error):
            raise
        raise _refusal(name, error, folder) from error


def wrap_module(module: Any, processor: Any) -> Lens:
    """The opened model around a module of the library, on the module's own device; as `model.wrap`.

    Raises:
        ModelError: it cannot be opened as a transformer.
    """
    from transformers import PreTrainedModel, ProcessorMixin
    from transformers.image_processing_base import ImageProcessingMixin

    from model.attention.finite_weights import check_finite_weights
    from model.huggingface.loading.pairs import encoder_of_pair, other_half
    from model.huggingface.sound.sound_model import SoundModel
    from model.huggingface.text_model import TextModel
    from model.huggingface.vision.vision_model import VisionModel

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
    except BaseException as error:  # as above
        if not is_failure(error):
            raise
        why = f"{error}" if isinstance(error, OpeningError) else "it does not run on a short input of its kind"
        raise ModelError("not_transformer", f"{name} cannot be shown: {why}.") from error
    lens.other_half = other_half(module, part)
    return lens


def _from_gguf(name: str, file: Path) -> Path:
    """The folder that was made of a GGUF file.

    Raises:
        ModelError: it cannot be read, or does not fit.
    """
    from model.catalog.conversion.gguf_folder import folder_of_gguf

    try:
        return folder_of_gguf(name, file)
    except ModelError as error:
        if error.reason not in UNREAD:
            raise
        raise ModelError(error.reason, f"{name!r} is here, but cannot be opened as a transformer: {error}") from error
    except BaseException as error:  # as above
        if not is_failure(error):
            raise
        raise _refusal(name, error, file.parent) from error


def _refusal(name: str, error: BaseException, folder: Path) -> ModelError:
    """The error that says in plain words why a model cannot be opened; a library's own words stay in its cause."""
    if is_out_of_memory(error):
        return ModelError("memory", f"There was not enough memory to open {name!r}. Pick a smaller model.")
    why, reason = "Headlight does not read models of this kind.", "unread_kind"
    if _is_damage(error):
        why, reason = "one of its files is damaged or cut off. Save or download it again.", "files_damaged"
    elif isinstance(error, OpeningError):
        why, reason = f"{_without_path(error, folder)}.", error.reason
    elif isinstance(error, ImportError):
        why, reason = "a library that it needs is not installed on this computer.", "not_transformer"
    return ModelError(reason, f"{name!r} is here, but cannot be opened as a transformer: {why}")


def _is_damage(error: BaseException) -> bool:
    """Whether an error, or what led to it, says that a file's content cannot be read to its end."""
    while True:
        if {one.__name__ for one in type(error).__mro__} & DAMAGE or SAYS_DAMAGE.search(str(error)):
            return True
        before = error.__cause__ or error.__context__
        if before is None:
            return False
        error = before


def _check_files(name: str, folder: Path) -> None:
    """Raise an error where a folder is not safe to read, or its configuration describes what cannot be opened here.

    Raises:
        ModelError: the message names the model and the file inside the folder.
    """
    from model.catalog.config_bounds import check_config
    from model.catalog.folder_check import check_folder

    try:
        check_folder(folder)
        if (folder / "config.json").is_file():
            check_config(folder)
    except ModelError as error:
        if error.reason not in UNREAD:
            raise
        raise ModelError(error.reason, f"{name!r} is here, but cannot be opened as a transformer: {error}") from error


def _without_path(error: BaseException, folder: Path) -> str:
    """The text of a library's error, in which files are named as they are inside the model's folder."""
    text = str(error)
    places = {place for place in (str(folder), str(folder.resolve())) if "/" in place.strip("/")}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(f"{place}/", "").replace(place, "its folder")
    return text


def _base_of(name: str, folder: Path) -> str:
    """The name of the model that a folder's adapter belongs to.

    Raises:
        ModelError: it names none.
    """
    from model.huggingface.loading.adapters import base_model

    try:
        base = base_model(folder)
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise ModelError("not_transformer", "adapter_config.json cannot be read.") from error
    if not base:
        raise ModelError("not_transformer", f"{name!r} is an adapter, and does not say for which model.")
    return base


def device_choices() -> list[str]:
    """The devices and number formats of this machine, best first: "cuda", "cuda, bfloat16", ..., "cpu"."""
    from model.attention import devices  # imported here, because it imports PyTorch

    return devices.device_choices()


def check_model_fits(name: str, *beside: str) -> None:
    """Raise an error where a model on this machine does not fit into the free memory; do nothing for one that is not.

    Args:
        beside: names of models that are being opened, and may not have taken their memory yet.

    Raises:
        ModelError: it needs more memory than is free; the message has both numbers ("memory").
    """
    from model.catalog.store import local_folder
    from model.memory.fit import check_memory_fits, needed_memory

    folder = local_folder(name)
    if folder:
        taken = 0
        for other in filter(None, map(local_folder, beside)):
            with suppress(ModelError):  # said where it is opened
                taken += needed_memory(other)
        check_memory_fits(name, folder, taken)
