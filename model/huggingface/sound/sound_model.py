"""Hugging Face models of speech as opened models: a sound is cut into moments, and each moment is a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoTokenizer

from model.arrays.types import Array
from model.attention.devices import find_device
from model.attention.edit_plan import EditPlan, plan_edits
from model.decomposition.observation import find_layers
from model.errors import InputError, OpeningError
from model.huggingface.answers import WORDS, head_kind
from model.huggingface.generation import forced_first_id, generate, next_token_logits, output_ids
from model.huggingface.inputs import Encoding
from model.huggingface.inputs import length_of as length_of_text
from model.huggingface.loading.weights import check_tokenizer, decoder_start_id, load_weights, model_class
from model.huggingface.opened_model import forward_inputs
from model.huggingface.recording.trial import trial_ids
from model.huggingface.sound.moments import filling, label_moments
from model.huggingface.sound.sound_files import SoundSource, read_sound
from model.huggingface.sound.speech_start import SpeechStart, speech_choices, speech_start
from model.huggingface.text_model import TextModel
from model.tokenization.labels import label_ids
from model.tokenization.length import OWN_LIMIT
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import Edits
from model.trace.tokens import Sound
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices, SpokenSound

MAX_SECONDS = 30  # of a sound, where the model itself takes more
FRAMES_A_SECOND = 100  # of features, where their maker does not say otherwise


@dataclass(frozen=True, eq=False)
class Heard:
    """A sound that was read.

    Attributes:
        name: its path, "" for the content of a file.
        samples: between -1 and 1. float32 [sample]
        inputs: what its encoder reads of it alone, as keyword arguments.
        start: how its output begins, by the language and the task that are chosen for it.
    """

    name: str
    samples: Array
    inputs: dict[str, Tensor]
    start: SpeechStart


class SoundModel(TextModel):
    """A Hugging Face encoder-decoder model that hears, with what prepares sounds for it; a `model.trace.lens.Lens`.

    Attributes:
        max_tokens: the longest output in tokens.
        rate: samples a second that it reads; most: seconds that it reads.
        samples_a_moment: number of samples from one token of the encoder to the next.
    """

    takes = "sound"
    is_encoder_decoder = True

    def __init__(self, module: Any, tokenizer: Any, extractor: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer, self.extractor, self.device = tokenizer, extractor, device
        self.config = module.config
        self.head = head_kind(module)
        self.main = str(module.main_input_name)
        self.rate = int(extractor.sampling_rate)
        self.most = float(min(MAX_SECONDS, getattr(extractor, "chunk_length", MAX_SECONDS)))
        places = getattr(self.config, "max_target_positions", None) or self.config.max_position_embeddings
        self.model_max_tokens = min(int(places), int(tokenizer.model_max_length))
        self.max_tokens = min(self.model_max_tokens, OWN_LIMIT)
        self.decoder_start = decoder_start_id(module, tokenizer)
        self.languages = None
        self._schemes = {}
        strides = [one.stride[0] for one in self._cutters]
        hop = 1 if self.main == "input_values" else getattr(extractor, "hop_length", self.rate // FRAMES_A_SECOND)
        self.samples_a_moment = int(np.prod([hop, *strides]))
        self._install_attention()
        if self.trial_tokens != self.length_of("encoder", self.dummy_inputs()):
            raise OpeningError("which moment of a sound each of its tokens stands for cannot be told")
        self.trace_batch([self._read_samples("", _hum(self.rate, self.most))], [[self._plain_id]])

    @classmethod
    def open(  # type: ignore[override]  # no adapters
        cls, name: str | Path, device: str = "auto", dtype: torch.dtype = torch.float32
    ) -> SoundModel:
        """A model from a hub name or a folder. No code that comes with the weights is executed.

        Raises:
            ValueError: there is no such device, or weights are missing.
            OSError: there is no such model.
        """
        # Eager from the start: some families cannot be switched to it later.
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
        check_tokenizer(Path(name))
        module = load_weights(model_class(config), name, config, dtype)
        extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        return cls(module, tokenizer, extractor, find_device(device))

    def trace(  # type: ignore[override]  # a sound has no pair, no chat and no marks
        self,
        text: SoundSource,
        target: Target = None,
        edits: Edits | None = None,
        *,
        source_language: str | None = None,
        task: str | None = None,
    ) -> Trace:
        """The trace of one pass: attention, hidden states and logits of every layer.

        Args:
            text: the sound: the path or the bytes of a file.
            target: the output to force, as text or as ids, behind what the model's settings begin it with.
            edits: changes to the pass; None and `Edits()` change nothing.
            source_language: code of the language that is spoken, such as "fr"; task: what to write, such as
                "translate"; None for what the model's settings say, which may be that it hears the language itself.

        Raises:
            InputError: it is no sound, it cannot be read, the model has no such language or task, or an edit cannot
                be applied.
        """
        return self.trace_batch([self.read(text, source_language, task)], [target], edits)[0]

    def trace_batch(  # type: ignore[override]
        self, texts: Sequence[SoundSource | SpokenSound | Heard], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several sounds, run as one batch; with edits each alone.

        Each alone, too, where a batch fills sounds up: the convolutions of those families reach over a sound's end, and
        some divide by the mean over all of it, so that in the library's own batches other numbers come out.
        """
        heard = [self.read(source) for source in texts]
        if len(heard) > 1 and not self._fills:
            pairs = zip(heard, targets, strict=True)
            return tuple(self.trace_batch([one], [target], edits)[0] for one, target in pairs)
        return super().trace_batch(heard, targets, edits)  # type: ignore[arg-type]

    def read(
        self,
        source: SoundSource | SpokenSound | Heard,
        source_language: str | None = None,
        task: str | None = None,
    ) -> Heard:
        """A sound as the model reads it. source_language, task: as for `trace`

        Raises:
            InputError: it is no sound, it cannot be read, or the model has no such language or task.
        """
        if isinstance(source, Heard):
            return source
        if isinstance(source, SpokenSound):
            return self.read(source.sound, source.source_language, source.task)
        name = str(source) if isinstance(source, (str, Path)) else ""
        return self._read_samples(name, read_sound(source, self.rate, self.most), source_language, task)

    def _read_samples(
        self, name: str, samples: Array, source_language: str | None = None, task: str | None = None
    ) -> Heard:
        start = speech_start(self.decoder_start, self._settings, self.config, source_language, task)
        return Heard(name, samples, self._prepare([samples]), start)

    @property
    def _fills(self) -> bool:
        """Whether each sound is filled up to one length, as Whisper's are to 30 seconds, whatever stands beside it."""
        return hasattr(self.extractor, "chunk_length")

    @property
    def _settings(self) -> Any:
        """How the model's own files say that it generates; None for one without a head."""
        return getattr(self.module, "generation_config", None)

    def _prepare(self, sounds: Sequence[Array]) -> dict[str, Tensor]:
        """Keyword arguments of the encoder for samples of some sounds, as the model's own files say."""
        filled = {} if self._fills else {"padding": True}
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.extractor(list(sounds), sampling_rate=self.rate, return_tensors="pt", **filled)
        if not bool(found[self.main].isfinite().all()):  # some families divide by how much a sound changes
            raise InputError("sound_even", "The sound never changes, and this model hears changes alone.")
        read = forward_inputs(self.module)
        taken = {name: one.to(self.device) for name, one in found.items() if name in read}
        return {self.main: taken.pop(self.main).to(self.module.dtype), **taken}

    def _inputs(
        self, texts: Sequence[Any], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[Encoding]]:
        sounds = [self.read(one) for one in texts]
        outputs = [self._output(one, target, plan) for one, target in zip(sounds, targets, strict=True)]
        inputs = sounds[0].inputs if len(sounds) == 1 else self._prepare([one.samples for one in sounds])
        longest = max(len(ids) for ids, _ in outputs)
        fill = self.tokenizer.pad_token_id or 0
        rows = [[*ids, *[fill] * (longest - len(ids))] for ids, _ in outputs]
        inputs = {**inputs, "decoder_input_ids": torch.tensor(rows, device=self.device)}
        moments = self.length_of("encoder", inputs)
        encoded = []
        for one, (ids, started) in zip(sounds, outputs, strict=True):
            sound = self._sound(one.samples, moments)
            tokens = {"encoder": label_moments(sound, moments), "decoder": label_ids(self.tokenizer, ids)}
            notes = () if "attention_mask" in inputs else filling(sound, moments)
            encoded.append(Encoding(one.name, {"encoder": [], "decoder": ids}, tokens, started, sound, notes))
        return inputs, encoded

    def _output(self, sound: Heard, target: Target, plan: EditPlan | None) -> tuple[list[int], int]:
        """What the decoder reads, generated or forced, and how many ids begin it."""
        if self.head == WORDS:
            return output_ids(self, sound.inputs, target, plan, self._begin(sound, plan))
        start, _ = self._begin(sound, plan)
        return start, len(start)

    def _begin(self, sound: Heard, plan: EditPlan | None) -> tuple[list[int], int | None]:
        """As `model.huggingface.generation.output_start`: with task and language, which is heard where none is set."""
        start = sound.start
        if start.languages and self.head == WORDS:
            with torch.inference_mode():
                scores = next_token_logits(self, sound.inputs, plan, use_cache=False)([[start.start]])[0]
            known = list(start.languages)
            heard = known[int(scores[known].argmax())]
            return start.ids(heard), None
        return start.ids(None), forced_first_id(self.module)

    def decode(self, text: Any, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """What the model writes of a sound with a chosen decoding method."""
        heard, plan = self.read(text), plan_edits(self, edits)
        return generate(self, heard.inputs, how, plan, start=self._begin(heard, plan))

    def length_of(self, stack: str, inputs: Mapping[str, Tensor]) -> int:
        """How many tokens a stack reads of the module's keyword arguments: of the encoder, moments."""
        if stack == "decoder":
            return length_of_text(self, stack, inputs)
        main = inputs[self.main]
        # Frames follow each other on the last axis before convolutions that read them so, else on the one before it.
        last = main.dim() == 2 or main.shape[1] == self._cutters[0].in_channels
        length = main.shape[-1 if last else 1]
        for one in self._cutters:
            reach = one.dilation[0] * (one.kernel_size[0] - 1) + 1
            length = (length + 2 * int(one.padding[0]) - reach) // one.stride[0] + 1
        return int(length)

    @cached_property
    def _cutters(self) -> list[nn.Conv1d]:
        """The convolutions that turn a sound into moments, in their order."""
        encoder = self.module.get_encoder()
        within = {id(part) for part in find_layers(encoder).modules()}
        return [one for one in encoder.modules() if isinstance(one, nn.Conv1d) and id(one) not in within]

    @property
    def _plain_id(self) -> int:
        return int(self.dummy_inputs()["decoder_input_ids"][0, 0])

    def dummy_inputs(self) -> dict[str, Tensor]:
        """A short sound, and a few ids of which one repeats."""
        ids = trial_ids(self.config, self.head, self.max_tokens).to(self.device)
        return {**self._prepare([_hum(self.rate, self.most)]), "decoder_input_ids": ids}

    def _find_choices(self) -> InputChoices:
        return speech_choices(self._settings, self.config)

    def guess(self, text: Any, position: int, edits: Edits | None = None) -> None:
        """None: the model was not trained to predict masked moments."""

    def _sound(self, samples: Array, moments: int) -> Sound:
        """The moments of a sound, of so many that the model reads."""
        count = min(-(-len(samples) // self.samples_a_moment), moments)
        padded = np.zeros(count * self.samples_a_moment, np.float32)
        used = np.abs(samples[: len(padded)])
        padded[: len(used)] = used
        loudness = padded.reshape(count, -1).max(axis=1)
        loudness.flags.writeable = False
        return Sound(loudness, self.samples_a_moment / self.rate)


def _hum(rate: int, most: float) -> Array:
    """Two tones, one after the other, of half a second: a sound to try a model with. float32 [sample]"""
    times = np.arange(int(min(0.5, most) * rate)) / rate
    return np.asarray(0.5 * np.sin(2 * np.pi * np.where(times < 0.25, 330, 440) * times), np.float32)
