"""One class of the library: a small random model is saved, opened, traced, and compared with the library's own run."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

import model
from model.catalog.permission import PICTURE_HALF
from model.catalog.store import SPEECH
from model.errors import InputError, ModelError
from model.huggingface.opened_model import SHOWN_STAGE
from model.huggingface.recording.windows import hook_stage
from tests.model.huggingface.small_models import TARGET, TEXT, save, tokenizer
from tests.sweep.small_configs import small_config

MAX_PARAMETERS = 8_000_000  # more means that a size was left as it is
LIMIT = 1e-4
HALF = "of two halves"
PICTURE = next(Path("assets/pictures").glob("*.png"))
SOUND = next(Path("assets/sounds").glob("*.wav"))
EXAMPLES: dict[str, Any] = {"text": TEXT, "image": PICTURE, "sound": SOUND}
INSIDE, WEIGHTS_ONLY, REFUSED, WRONG, ERROR, NOT_BUILT = (
    *("shown inside", "weights only", "refused"),
    *("WRONG", "ERROR", "not built"),
)
# What a sentence for people does not hold: Python names, tensor sizes, places.
ROUGH = re.compile(r"object has no attribute|Traceback|torch\.|Tensor|\[\d+, \d+|\bNoneType\b|\w+\(\) |/\w+/\w+/|Error")


@dataclass
class Outcome:
    """What came out for one class.

    Attributes:
        name: of the class; kind: its model type; task: of the library's mapping.
        verdict: one of the above; why: of a refusal or a fault.
        weights, answer: largest differences of attention weights and, as a share of the largest, of the answer; -1
            where the library returns none.
    """

    name: str
    kind: str
    task: str
    verdict: str
    why: str = ""
    weights: float = -1.0
    answer: float = -1.0

    def row(self) -> dict[str, Any]:
        return asdict(self)


def examine(name: str, kind: str, task: str, folder: Path) -> Outcome:
    """The outcome for one class. folder: an empty one"""
    torch.set_num_threads(1)
    outcome = Outcome(name, kind, task, NOT_BUILT)
    try:
        kind_of_input = build(name, folder)
    except Exception as error:
        outcome.why = f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:150] if str(error) else ''}"
        return outcome
    open_and_compare(str(folder), kind_of_input, outcome)
    if outcome.why == HALF:  # a model of two encoders: the other one, too
        outcome.why = ""
        open_and_compare(f"{folder}{PICTURE_HALF}", "image", outcome)
    return outcome


def open_and_compare(name: str, kind_of_input: str, outcome: Outcome) -> None:
    """Fill in the outcome for a folder, which `PICTURE_HALF` may follow. kind_of_input: one of `EXAMPLES`"""
    try:
        lens = model.load(name, device="cpu")
        takes_target = getattr(lens, "is_encoder_decoder", False)
        trace = lens.trace(EXAMPLES[kind_of_input], **({"target": TARGET} if takes_target else {}))
    except (ModelError, InputError) as error:
        outcome.verdict, outcome.why = REFUSED, str(error).split("transformer: ", 1)[-1]
        if ROUGH.search(outcome.why):
            outcome.why = "(rough) " + outcome.why
        return
    except Exception as error:
        outcome.verdict, outcome.why = ERROR, f"{type(error).__name__}: {str(error)[:200]}"
        return
    outcome.verdict = INSIDE if lens.uses_interface else WEIGHTS_ONLY
    try:
        compare(lens, trace, outcome.name, Path(name.removesuffix(PICTURE_HALF)), outcome)
    except Exception as error:
        outcome.verdict, outcome.why = ERROR, f"compared: {type(error).__name__}: {str(error)[:200]}"
    if lens.other_half == "vision" and lens.takes == "text" and outcome.verdict == INSIDE:
        outcome.why = HALF


def build(name: str, folder: Path) -> str:
    """Save a small model of a class to a folder; returns what it reads, one of `EXAMPLES`.

    Raises:
        ValueError: it stayed too large.
    """
    pieces = tokenizer()
    torch.manual_seed(3)
    found = getattr(transformers, name)
    config = small_config(found.config_class, len(pieces))
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in found(config).parameters())
    if count > MAX_PARAMETERS:
        raise ValueError(f"the small model has {count:,} parameters")
    module = found(config)
    reads = {*inspect.signature(found.forward).parameters} & {"input_ids", "pixel_values", "pixel_values_videos"}
    takes_pictures = "input_ids" not in reads and bool(reads)
    readers = [pieces] if "input_ids" in reads else []
    if takes_pictures or hasattr(config, "vision_config"):
        readers.append(picture_processor(getattr(config, "vision_config", config)))
    hears = config.model_type in SPEECH and config.is_encoder_decoder and not reads
    if hears:
        readers += [pieces, sound_processor(config)]
    save(module, folder, *readers)
    return "sound" if hears else "image" if takes_pictures else "text"


def sound_processor(config: Any) -> Any:
    """What prepares sounds for a configuration."""
    if config.model_type == "whisper":
        seconds = config.max_source_positions // 50
        return transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=seconds)
    if config.model_type == "speech_to_text":
        return transformers.Speech2TextFeatureExtractor()
    return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)


def picture_processor(config: Any) -> Any:
    """An image processor for the picture size of a configuration."""
    size = getattr(config, "image_size", None) or 32
    high, wide = (size, size) if isinstance(size, int) else size
    shape = {"size": {"height": high, "width": wide}}
    if getattr(config, "num_frames", None):
        shape = {"size": {"shortest_edge": high}, "crop_size": {"height": high, "width": wide}}
        return transformers.VideoMAEImageProcessorPil(**shape)
    return transformers.ViTImageProcessorPil(**shape)


def library_run(lens: Any, trace: Any, name: str, folder: Path) -> Any:
    """The library's output object for the tokens of a trace, from its own class with eager attention."""
    found = getattr(transformers, name)
    module = found.from_pretrained(folder, attn_implementation="eager").eval()
    module = next(part for part in module.modules() if type(part) is type(lens.module))  # or one half of it
    if trace.picture is not None:
        inputs: dict[str, Any] = lens.dummy_inputs() | {
            "pixel_values": lens._inputs([PICTURE], [None], None)[0]["pixel_values"]
        }
    elif trace.sound is not None:
        inputs = lens._inputs([SOUND], [None], None)[0]
        inputs = inputs | {"decoder_input_ids": torch.tensor([trace.ids["decoder"]])}
    else:
        first = next(iter(trace.ids))
        ids = torch.tensor([trace.ids[first]])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if len(trace.ids) > 1:
            inputs["decoder_input_ids"] = torch.tensor([trace.ids["decoder"]])
    if "use_cache" in inspect.signature(type(module).forward).parameters:
        inputs["use_cache"] = False  # FSMT leaves its causal mask out with a cache
    if lens.stage is not None:  # the library's own weights of every layer of the stage, as maps of all patches
        setattr(module, SHOWN_STAGE, lens.stage.path)
        hook_stage(module.get_submodule(lens.stage.path))
        with torch.inference_mode():
            return lens.run(module, inputs, eager=True)
    with torch.inference_mode():
        result = module(**inputs, output_attentions=True, output_hidden_states=True, return_dict=True)
        weights = getattr(result, "attentions", None) or ()
        if hasattr(result, "attentions") and not any(isinstance(one, Tensor) for one in weights):
            # BigBird swaps its attention in the first pass, behind what collects its weights.
            result = module(**inputs, output_attentions=True, output_hidden_states=True, return_dict=True)
        return result


def compare(lens: Any, trace: Any, name: str, folder: Path, outcome: Outcome) -> None:
    """Fill in the largest differences, and the verdict "WRONG" where they are too large."""
    result = library_run(lens, trace, name, folder)
    names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    names = names if len(trace.hidden_states) > 1 else dict.fromkeys(names, "attentions")
    for kind, attention in trace.attentions.items():
        own = [one for one in getattr(result, names[kind], None) or () if isinstance(one, Tensor) and one.dim() == 4]
        if len(own) != attention.num_layers:
            outcome.why += f"{kind}: {attention.num_layers} layers, the library returns {len(own)}. "
            continue
        for layer, expected in enumerate(own):
            weights, theirs = attention.weights(layer), expected[0].float().numpy()
            if weights.shape != theirs.shape:
                outcome.why += f"{kind}: {weights.shape}, the library {theirs.shape}. "
                outcome.verdict = WRONG
                return
            rows = weights.sum(-1, keepdims=True)
            # Some families return their weights before the sinks take their share.
            if lens.has_sinks and np.abs(theirs.sum(-1) - 1).max() < LIMIT:
                weights = weights / rows
            outcome.weights = max(outcome.weights, float(np.abs(weights - theirs).max()))
        if kind == "decoder" and np.triu(attention.weights(0), 1).max() > 0:
            outcome.why, outcome.verdict = outcome.why + "looks ahead. ", WRONG
    expected_logits = getattr(result, "logits", None)
    if trace.logits is not None and isinstance(expected_logits, Tensor):
        theirs = expected_logits[0].float().numpy()
        difference = np.abs(trace.logits - theirs.reshape(trace.logits.shape)).max()
        outcome.answer = float(difference / max(float(np.abs(theirs).max()), 1.0))
    if not max(outcome.weights, outcome.answer) <= LIMIT:
        outcome.verdict = WRONG
    dict(trace.neurons)  # computed, they are compared, too
    check = trace.verify()
    if not check.ok:
        outcome.verdict = WRONG
        outcome.why += f"its badge is red: {', '.join(dict.fromkeys(part.name for part in check.wrong_parts))}. "
    if check.uncompared:
        outcome.why += f"not compared: {', '.join(check.uncompared)}. "
