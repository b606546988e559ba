"""Loading a Hugging Face model with the head it was trained with; no code that comes with the weights is executed."""

from __future__ import annotations

import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
)

from model.attention.finite_weights import check_finite_weights
from model.errors import OpeningError
from model.huggingface.loading.adapters import has_adapter, merge_adapter

# Quantisation method -> the package that reads its weights.
QUANTISATION = {"bitsandbytes": "bitsandbytes", "gptq": "gptqmodel", "awq": "awq"}
SOUND = ("input_features", "input_values")  # what models of sound read, by the library's names
NOT_HEARD = (
    "it reads sound, and of such models only Whisper, Speech2Text and Moonshine are opened, with the file that says "
    "how sounds are prepared for them"
)
TOKENIZER_FILES = r"tokenizer|vocab|spiece|source\.spm|merges|.*\.model$"


# Parts of a file that no computation here needs: buffers that are made anew, and what pools states for a classifier.
UNUSED = re.compile(
    r"position_ids|pooler|inv_freq|masked_bias|\.attn\.bias$|num_batches_tracked|_float_tensor|token_type_ids"
)
# A part of a layer: dropping it means that the layer computes something else than the one that was trained.
WITHIN_LAYER = re.compile(r"\.\d+\.")


def load_pretrained(
    name: str | Path, dtype: torch.dtype = torch.float32, adapter: Path | None = None
) -> tuple[Any, Any, str]:
    """The module, of the class that the folder names, the tokenizer, and the merged adapter's name; "" without.

    Pickles load weights only.

    Args:
        adapter: the folder of a LoRA adapter to merge; one that lies beside the weights is merged, too.

    Raises:
        ValueError: it reads sound, there is no tokenizer, weights are missing, or weights of a layer would be ignored.
        OSError: there is no such model.
    """
    folder = Path(name)
    # Eager from the start: some families cannot be switched to it later.
    config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
    opener = model_class(config)
    _check_reads_text(opener)
    check_tokenizer(folder)
    module = load_weights(opener, name, config, dtype)
    merged = merge_adapters(module, folder, adapter)
    return module, AutoTokenizer.from_pretrained(name, trust_remote_code=False), merged


def merge_adapters(module: Any, folder: Path, adapter: Path | None) -> str:
    """Merge the LoRA adapters that lie beside a model's weights or in a folder of their own.

    Returns:
        The name of the folder whose adapter was merged last; "" where there is none.
    """
    merged = ""
    for place in (folder, adapter):
        if place is not None and has_adapter(place):
            merge_adapter(module, place)
            check_finite_weights(module)
            merged = place.name
    return merged


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without the files of a tokenizer.

    Raises:
        OpeningError: says so.
    """
    if not any(file for file in folder.glob("*") if re.match(TOKENIZER_FILES, file.name)):
        raise OpeningError(f"{folder.name} holds no tokenizer, and nothing that prepares pictures", "no_tokenizer")


def model_class(config: Any) -> Any:
    """The library's class that a configuration names; by its kind where it names none that the library has."""
    architecture = (getattr(config, "architectures", None) or [""])[0]
    found = getattr(transformers, architecture, None) if architecture else None
    if isinstance(found, type) and issubclass(found, PreTrainedModel):
        return found
    if config.is_encoder_decoder:
        return AutoModelForSeq2SeqLM
    heads = (AutoModelForCausalLM, AutoModelForMaskedLM)
    return next((auto for auto in heads if architecture in supported_architectures(auto)), AutoModel)


def _check_reads_text(opener: Any) -> None:
    """Refuse a class of models that read sound and cannot be given a text alone.

    Raises:
        OpeningError: says what Headlight reads.
    """
    takes_ids = "input_ids" in inspect.signature(getattr(opener, "forward", opener)).parameters
    if getattr(opener, "main_input_name", "") in SOUND and not takes_ids:
        raise OpeningError(NOT_HEARD, "sound")


def load_weights(opener: Any, name: str | Path, config: Any, dtype: torch.dtype) -> Any:
    """A module with all its weights; without its head where the file has no weights for one.

    Raises:
        ValueError: other weights are missing, which the library would make up, or weights of a layer would be dropped.
        ModelError: weights hold NaN or infinite numbers.
    """
    _check_quantisation(config)
    module, info = opener.from_pretrained(
        name, config=config, trust_remote_code=False, weights_only=True, dtype=dtype, output_loading_info=True
    )
    missing = sorted(key for key in info["missing_keys"] if not UNUSED.search(key))
    unexpected = sorted(key for key in info["unexpected_keys"] if not UNUSED.search(key) and WITHIN_LAYER.search(key))
    mismatched = sorted(str(one[0]) for one in info.get("mismatched_keys") or ())
    within = [key for key in missing if WITHIN_LAYER.search(key)]
    if missing and not within and opener is not AutoModel and not mismatched:
        return load_weights(AutoModel, name, config, dtype)
    if missing or mismatched:
        lacking = missing or mismatched
        raise OpeningError(f"its weights lack {len(lacking)} parts, such as {lacking[0]}")
    if unexpected:
        raise OpeningError(f"{len(unexpected)} of its weights would not be used, such as {unexpected[0]}")
    check_finite_weights(module)
    return module


def _check_quantisation(config: Any) -> None:
    """Refuse weights whose number format needs a library that is not here.

    Raises:
        ValueError: with the format and what to do.
    """
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return
    values = settings if isinstance(settings, dict) else getattr(settings, "__dict__", {})
    method = values.get("quant_method")
    method = str(getattr(method, "value", method) or "")
    if not method and any(values.get(f"load_in_{bits}bit") for bits in (4, 8)):  # as the library takes it
        method = "bitsandbytes"
    package = QUANTISATION.get(method)
    if package is None or find_spec(package) is None:
        raise OpeningError(
            f"its weights are quantised{f' ({method})' if method else ''}, and the library that reads them is not "
            f"installed here: open the unquantised model instead"
        )


def attend_in_full(module: Any) -> int | None:
    """Let a model of sparse blocks attend to all tokens, as the library itself does with short texts (BigBird).

    Returns:
        The longest text that the library reads so; None for other models, which have no such limit.
    """
    config = module.config.get_text_config() if hasattr(module.config, "get_text_config") else module.config
    if getattr(config, "attention_type", None) != "block_sparse":
        return None
    for part in module.modules():
        if hasattr(part, "set_attention_type"):
            part.set_attention_type("original_full")
            break  # it sets its own parts
    return int((5 + 2 * config.num_random_blocks) * config.block_size)


def max_input_tokens(module: Any, tokenizer: Any) -> int:
    """Longest input in tokens that the model takes: the lesser of its positions and its tokenizer's limit."""
    config = module.config.get_text_config() if hasattr(module.config, "get_text_config") else module.config
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
    # RoBERTa and its relatives number positions from the padding's own onwards.
    tables = [part for name, part in module.named_modules() if name.endswith("position_embeddings")]
    first = max((part.padding_idx + 1 for part in tables if getattr(part, "padding_idx", None) is not None), default=0)
    return min([n - first for n in limits if isinstance(n, int) and n > 0] + [int(tokenizer.model_max_length)])


def decoder_start_id(module: Any, tokenizer: Any) -> int:
    """Id of the token that an encoder-decoder model's decoder is fed first.

    Raises:
        ValueError: neither the configuration nor the tokenizer names one.
    """
    # The settings of generation come first, as in the library's own `generate`.
    places = [getattr(module, "generation_config", None), module.config, getattr(module.config, "decoder", None)]
    if hasattr(module.config, "get_text_config"):
        places.append(module.config.get_text_config(decoder=True))
    for name in ("decoder_start_token_id", "bos_token_id"):
        for place in places:
            token_id = getattr(place, name, None) if place is not None else None
            if isinstance(token_id, (list, tuple)):  # one for each text of a batch
                token_id = token_id[0] if token_id else None
            if token_id is not None:
                return int(token_id)
    if tokenizer.bos_token_id is not None:
        return int(tokenizer.bos_token_id)
    raise OpeningError("nothing says which token its decoder starts with")


def supported_architectures(auto: Any) -> set[str]:
    """Names of the model classes that one of the library's `Auto…` classes opens."""
    names: set[str] = set()
    for value in auto._model_mapping._model_mapping.values():
        names |= set(value) if isinstance(value, (tuple, list)) else {value}
    return names
