"""The from-scratch video model as an opened model: attention over time and over space, answers, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import stack_layers, to_numpy
from model.arrays.types import Array
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.projections import find_projections
from model.attention.record import Record, record
from model.errors import InputError
from model.measures.heads.head_effects import head_effects
from model.measures.logit_lens import logit_lens
from model.positions.scheme import PositionScheme, table_error
from model.structures.clip_files import ClipSource, read_clip
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.decoding import Decoding, DecodingResult
from model.trace.edits import UNCHANGED, Edits, Head
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Picture, Tokens
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices
from model.translator.decomposition import clip_boxes, take_clip_apart
from model.translator.video.divided_attention import DIRECTIONS, VideoTransformer
from model.verification.references.video_reference import verify

KINDS = ("time", "space")


class VideoModel:
    """A from-scratch video transformer; a `model.trace.lens.Lens`.

    A token is a patch of a frame, "frame:row,column"; frames follow each other.

    Attributes:
        module: the `torch.nn.Module` that runs.
        max_tokens: number of tokens of every clip.
        frames: number of frames that it reads.
        heads: attention kind -> (layers, heads).
    """

    takes = "video"
    choices = InputChoices()
    head_effects, logit_lens = head_effects, logit_lens
    boxes = clip_boxes
    is_encoder_decoder = False
    writes = False
    can_move_positions = True
    layer_index: Mapping[str, Sequence[int]] = MappingProxyType({})  # all layers have both

    def __init__(self, module: VideoTransformer, device: str) -> None:
        self.module = module.to(device).eval()
        self.config = module.config
        self.frames = module.config.frames
        self.max_tokens = module.config.frames * module.config.patches
        self.device = device
        self.dtype = dtype_name(self.module)
        self.heads: Mapping[str, tuple[int, int]] = dict.fromkeys(KINDS, (self.config.layers, self.config.num_heads))
        self.tokens = self._label_tokens()

    @classmethod
    def open(cls, folder: Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> VideoModel:
        """A model from a folder that `model.training.moving_digits` wrote.

        Raises:
            ValueError: this machine has no such device.
            OSError: a file of the folder is missing.
            ModelError: weights hold NaN or infinite numbers.
        """
        module = VideoTransformer.open(folder)
        return cls(module.to(dtype), find_device(device))

    def positions(self, stack: str | None = None) -> PositionScheme:
        """What the model adds to each token: a learned encoding of its frame and one of its place."""
        size = self.config.size
        with torch.no_grad():
            blank = torch.zeros(1, self.frames, size, size, dtype=torch.uint8, device=self.device)
            table, states = to_numpy(self.module.positions(self.frames)), self.module.embed(blank).flatten(0, 2)
        return PositionScheme("learned", table=table, error=table_error(table, to_numpy(states)))

    def trace(self, text: ClipSource, target: Target = None, edits: Edits | None = None) -> Trace:
        """The trace of one pass: attention over time and over space, hidden states and neurons of every layer.

        Args:
            text: the clip: the path or the bytes of a moving picture, or grey frames, uint8 [frame, height, width].
            target: not used; a video model has no output to force.
            edits: changes to the pass, whose positions are tokens; None and `Edits()` change nothing.

        Raises:
            InputError: it is no clip, it cannot be read, or an edit cannot be applied.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[ClipSource], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several clips, run as one batch."""
        clips = [read_clip(source, self.frames, self.config.size) for source in texts]
        pixels = torch.from_numpy(np.stack([frames for frames, _ in clips])).to(self.device)
        plan = plan_edits(self, edits)
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            hidden = self.module.encode(pixels, self.module.masks(self.frames))
            logits = self.module.answer(hidden[-1])
        states = {"encoder": [one.flatten(1, 2) for one in hidden]}
        neurons = {
            "encoder": [recorded.activations["encoder", layer].flatten(1, 2) for layer in range(self.config.layers)]
        }
        traces = []
        for row, (source, (frames, notes)) in enumerate(zip(texts, clips, strict=True)):
            classes = self._classes(logits[row])
            trace = Trace(
                text=str(source) if isinstance(source, (str, Path)) else "",
                attentions={kind: self._attention(recorded, kind, row) for kind in KINDS},
                hidden_states=stack_layers(states, row),
                neurons=stack_layers(neurons, row),
                tokens={"encoder": self.tokens},
                ids={"encoder": ()},
                prompt_length=0,
                predicted=None,
                logits=to_numpy(logits[row]),
                output=", ".join(label for label, chance in classes if chance > 0.5) or classes[0][0],
                notes=notes,
                device=self.device,
                edits=edits or UNCHANGED,
                run_check=partial(self._verify, pixels, row, plan),
                find_layer=partial(self._find_projections, pixels, row, plan),
                take_apart=partial(self.take_pass_apart, pixels, row, plan),
                picture=self._picture(frames),
                classes=classes,
            )
            traces.append(trace)
        return tuple(traces)

    def decode(self, text: ClipSource, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """Not possible.

        Raises:
            InputError: always: a video model writes nothing.
        """
        raise InputError("writes_nothing", "This model answers with a label and writes no text.")

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        """Names of the answers of one digit, by their numbers: 0 is "not there", then the directions."""
        names = ("not there", *DIRECTIONS)
        return tuple(names[i] for i in ids)

    def guess(self, text: ClipSource, position: int, edits: Edits | None = None) -> None:
        """None: the model was not trained to predict masked patches."""

    def outputs(
        self, text: ClipSource, target: Target = None, edits: Edits | None = None, silenced: Sequence[Head] = ()
    ) -> tuple[Tensor, bool]:
        """Answers for one clip, from one pass or from one pass for each silenced head.

        Args:
            silenced: heads to silence, one a pass; empty for one pass without.

        Returns:
            Logits [pass, digit, answer], and True.
        """
        plan, pixels = plan_edits(self, edits), self._inputs(text)
        plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
        with torch.inference_mode(), apply_edits(plan):
            hidden = self.module.encode(pixels.expand(max(len(silenced), 1), -1, -1, -1), self._masks())
            return self.module.answer(hidden[-1]), True

    def layer_logits(self, text: ClipSource, target: Target = None, edits: Edits | None = None) -> None:
        """None: the answer is read from all patches together, not from one."""

    def _masks(self) -> tuple[Tensor, ...]:
        return self.module.masks(self.frames)

    def _inputs(self, text: ClipSource) -> Tensor:
        """Frames of one clip, as the module takes them. uint8 [1, frame, height, width]"""
        frames, _ = read_clip(text, self.frames, self.config.size)
        return torch.from_numpy(frames)[None].to(self.device)

    def _attention(self, recorded: Record, kind: str, row: int) -> Attention:
        """The attention of one kind, of one clip of a batch."""
        config = self.config
        calls = tuple(recorded.call(kind, layer, row) for layer in range(config.layers))
        return Attention(kind, self.tokens, self.tokens, config.num_heads, config.d_model // config.num_heads, calls)

    def _classes(self, logits: Tensor) -> list[tuple[str, float]]:
        """Each digit with the likeliest of its directions, and the probability that it is there, likeliest first.

        Args:
            logits: [digit, answer]
        """
        there = 1 - logits.float().softmax(-1)[:, 0]
        ways = logits[:, 1:].argmax(-1).tolist()
        found = [(f"{digit} {DIRECTIONS[ways[digit]]}", float(there[digit])) for digit in range(self.config.digits)]
        return sorted(found, key=lambda one: -one[1])

    def _label_tokens(self) -> Tokens:
        """Tokens of a clip, labelled "frame:row,column"."""
        side = self.config.size // self.config.patch
        places = [f"{row},{column}" for row in range(side) for column in range(side)]
        labels = tuple(f"{frame}:{place}" for frame in range(self.frames) for place in places)
        return Tokens(labels, (False,) * len(labels))

    def _picture(self, frames: Array) -> Picture:
        """The frames under each other. frames: uint8 [frame, height, width]"""
        side = self.config.size // self.config.patch
        strip = np.repeat(frames.reshape(-1, frames.shape[-1], 1), 3, axis=-1)
        strip.flags.writeable = False
        return Picture(strip, rows=self.frames * side, columns=side, first=0, frames=self.frames)

    def _verify(self, *args: Any) -> Check:
        """The verdict of `model.verification.references.video_reference` on one clip."""
        return verify(self.module, self._classes, *args)

    def take_pass_apart(self, *args: Any) -> Any:
        """As `model.translator.decomposition.take_clip_apart`."""
        return take_clip_apart(self, *args)

    def _find_projections(
        self, pixels: Tensor, row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> MultiHeadLayer | NotMultiHead:
        """The multi-head layer around a recorded call, from one more pass."""
        with apply_edits(plan):
            return find_projections(
                self.module, lambda module: module.encode(pixels, module.masks(self.frames)), row, recorded
            )
