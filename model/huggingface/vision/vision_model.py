"""Hugging Face vision transformers as opened models: a picture is cut into patches, and each patch is a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForVideoClassification,
)

from model.arrays.torch_to_numpy import stack_layers, to_numpy
from model.arrays.types import Array
from model.attention.devices import find_device
from model.attention.edit_plan import EditPlan, apply_edits, plan_edits
from model.attention.record import record
from model.errors import OpeningError
from model.huggingface.answers import head_kind
from model.huggingface.loading.pairs import encoder_of_pair
from model.huggingface.loading.weights import load_weights, merge_adapters, supported_architectures
from model.huggingface.opened_model import SHOWN_STAGE
from model.huggingface.recording.layers import build_attention
from model.huggingface.recording.windows import (
    Stage,
    find_stages,
    fits,
    hook_stage,
    shown_stage,
    watch_stage,
)
from model.huggingface.text_model import TextModel
from model.huggingface.vision.image_files import PictureSource, read_picture
from model.huggingface.vision.patch_labels import label_patches, prefix_labels
from model.huggingface.vision.vision_positions import vision_scheme
from model.positions.scheme import PositionScheme
from model.structures.clip_files import holds_clip, read_colour_clip
from model.trace.edits import UNCHANGED, Edits
from model.trace.tokens import Picture
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices


class VisionModel(TextModel):
    """A Hugging Face vision model with its image processor; a `model.trace.lens.Lens`.

    Attributes:
        max_tokens: number of tokens of every picture; all are resized to the same size.
        frames: number of frames that a video model reads, of a clip or all filled with one picture; 0 for a picture
            model.
        slices: number of frames that its tokens tell apart, one under the other, where patches of all of them look at
            each other; 1 where it looks through time and across a frame in turn, and for a picture model.
        stages: of a model that merges its patches from stage to stage; empty for others. stage_names: rows and columns
            of each; "" for one that cannot be shown.
        divided: True for a video model that looks through time and across a frame in turn.
    """

    takes = "image"
    is_encoder_decoder = False
    stages: tuple[Stage, ...] = ()
    stage_names: tuple[str, ...] = ()

    def __init__(self, module: Any, processor: Any, device: str, stage: int | None = None) -> None:
        self.module = module.to(device).eval()
        self.processor = processor
        self.device = device
        self.config = module.config
        self.head = head_kind(module)
        self.vision_config = getattr(self.config, "vision_config", self.config)  # CLIP's classifier keeps both
        if not hasattr(self.vision_config, "patch_size"):
            raise OpeningError("it does not read pictures in patches of one size, so there are no tokens to show")
        self.frames = int(getattr(self.config, "num_frames", 0))
        tubelet = getattr(self.config, "tubelet_size", 0)  # frames in one patch
        joint = isinstance(tubelet, int) and tubelet > 0
        self.slices = self.frames // tubelet if joint else 1
        self.divided = bool(self.frames) and not joint
        self._choose_stage(stage)
        self._install_attention()
        _, visible = self._preprocess([Image.new("RGB", (64, 64))])
        self.tokens = label_patches(self._prefix_labels(visible.rows * visible.columns), visible)
        if self.divided:  # of all frames, the first is shown
            self.frames_of_tokens = (-1, *[*range(self.frames)] * (visible.rows * visible.columns))
        try:
            self.trace(Image.new("RGB", (64, 64)))
        except OpeningError:
            raise
        except ValueError as error:  # a family whose windows or special tokens do not fit
            message = "its attention does not give one weight for each pair of patches, as with windows"
            raise OpeningError(message, "windows") from error
        self.max_tokens = len(self.tokens)

    def _choose_stage(self, wanted: int | None) -> None:
        """Find the stages of a model that merges its patches, and which of them is shown. wanted: None for any"""
        self.stages = () if self.frames else find_stages(self.module, lambda: self.module(**self.dummy_inputs()))
        if not self.stages:
            return
        _, visible = self._preprocess([Image.new("RGB", (64, 64))])
        grid = visible.rows, visible.columns
        self.stage_names = tuple(f"{one.rows} × {one.columns}" if fits(one, grid) else "" for one in self.stages)
        self.stage = shown_stage(self.stages, wanted, grid)
        setattr(self.module, SHOWN_STAGE, self.stage.path)
        hook_stage(self.module.get_submodule(self.stage.path))

    @classmethod
    def open(
        cls,
        name: str | Path,
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
        adapter: Path | None = None,
        stage: int | None = None,
    ) -> VisionModel:
        """A model from a hub name or a folder. No code that comes with the weights is executed.

        Args:
            adapter: the folder of a LoRA adapter to merge into the model's weights.
            stage: the one to show of a model that merges its patches from stage to stage; None for one that fits.

        Raises:
            ValueError: there is no such device, or attention does not fit the picture's patches.
            OSError: there is no such model.
        """
        # Eager from the start: some families cannot be switched to it later.
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
        architecture = (getattr(config, "architectures", None) or [""])[0]
        classifiers = (AutoModelForImageClassification, AutoModelForVideoClassification)
        opener: Any = next((auto for auto in classifiers if architecture in supported_architectures(auto)), AutoModel)
        whole = load_weights(opener, name, config, dtype)
        merged = merge_adapters(whole, Path(name), adapter)
        module = encoder_of_pair(whole, "vision")
        # Pillow does the resizing: the other backend would need torchvision.
        processor = AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        lens = cls(module, processor, find_device(device), stage)
        lens.adapter = merged
        return lens

    def trace(  # type: ignore[override]  # a picture has no pair, no chat and no marks
        self, text: PictureSource, target: Target = None, edits: Edits | None = None
    ) -> Trace:
        """The trace of one pass: attention and hidden states of every layer, and class logits.

        Args:
            text: the picture: its path, its bytes, or a PIL image; for a video model also the file of a clip.
            target: not used; a vision model has no output to force.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: it is no picture, it cannot be read, or an edit cannot be applied.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(  # type: ignore[override]
        self, texts: Sequence[PictureSource], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several pictures, or clips for a video model, run as one batch."""
        pictures = [self._read(source) for source in texts]
        preprocessed = [self._preprocess(frames) for frames, _ in pictures]
        inputs = self._batch([pixels for pixels, _ in preprocessed])
        plan = plan_edits(self, edits)
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            result = self.run(self.module, inputs, eager=not self.uses_interface)
        layers = self.layers_of(result, recorded, len(texts))
        classes: Tensor | None = getattr(result, "logits", None)
        logits = None if classes is None else classes[:, None]  # [picture, 1, class]
        answer = result.last_hidden_state if logits is None else logits
        tokens = {"encoder": self.tokens}
        traces = []
        for row, (source, (_, notes), (_, visible)) in enumerate(zip(texts, pictures, preprocessed, strict=True)):
            attentions = {
                kind: build_attention(kind, rows[row], tokens, tuple(self.layer_index.get(kind, ())))
                for kind, rows in layers.items()
            }
            trace = Trace(
                text=str(source) if isinstance(source, (str, Path)) else "",
                attentions=attentions,
                hidden_states=stack_layers({"encoder": result.hidden_states}, row),
                neurons={},
                tokens=tokens,
                ids={"encoder": ()},
                prompt_length=0,
                predicted=None,
                logits=None if logits is None else to_numpy(logits[row]),
                output=None if classes is None else str(self.config.id2label[int(classes[row].argmax())]),
                notes=(*notes, *super().notes()),
                device=self.device,
                edits=edits or UNCHANGED,
                run_check=partial(self.verify, inputs, answer[row], row, plan=plan),
                find_layer=partial(self.find_projections, inputs, row, plan),
                take_apart=partial(self.take_pass_apart, inputs, row, plan, None),
                picture=visible,
            )
            traces.append(trace)
        return tuple(traces)

    def _find_choices(self) -> InputChoices:
        shown = self.stage
        return InputChoices() if shown is None else InputChoices(stages=self.stage_names, stage=shown.number)

    def positions(self, stack: str | None = None) -> PositionScheme:
        """The table that is added to the patches."""
        return vision_scheme(self)

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        """Names of classes by their ids."""
        return tuple(str(self.config.id2label[i]) for i in ids)

    def guess(  # type: ignore[override]
        self, text: PictureSource, position: int, edits: Edits | None = None
    ) -> None:
        """None: the model was not trained to predict masked patches."""

    def _inputs(  # type: ignore[override]
        self, texts: Sequence[PictureSource], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        return self._batch([self._preprocess(self._read(source)[0])[0] for source in texts]), []

    def _read(self, source: PictureSource) -> tuple[list[Image.Image], tuple[tuple[str, str], ...]]:
        """The frames of a clip, or one picture, in RGB; and notes (id, detail) on how they are read."""
        if self.frames and not isinstance(source, Image.Image) and holds_clip(source):
            frames, notes = read_colour_clip(source, self.frames)
            return frames, (*notes, *([("clip_first", str(self.frames))] if self.divided else []))
        picture, notes = read_picture(source)
        return [picture], (*notes, *([("still", str(self.frames))] if self.frames else []))

    def length_of(self, stack: str, inputs: Mapping[str, Tensor]) -> int:
        return len(self.frames_of_tokens) or self.max_tokens

    def _batch(self, pictures: Sequence[Tensor]) -> dict[str, Tensor]:
        """The module's keyword arguments for preprocessed inputs. pictures: [frame, channel, height, width] each"""
        if not self.frames:
            return {"pixel_values": torch.cat(list(pictures))}
        return {"pixel_values": torch.stack([pixels.expand(self.frames, -1, -1, -1) for pixels in pictures])}

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """The library's output object of one pass with all hidden states; of a video only the first frame's.

        Args:
            inputs, eager, cached: as in `TextModel.run`.
        """
        with watch_stage() as seen:
            result = super().run(module, inputs, eager, cached)
        if self.stage is not None:
            result["hidden_states"] = tuple(seen.states)
            result["attentions"] = seen.maps(self.stage) if eager else None
        if self.divided:
            # The frames of a picture follow each other on the batch axis, and those of a patch on the token axis.
            if result.attentions is not None:
                result["attentions"] = tuple(layer[:: self.frames] for layer in result.attentions)
            first = [0, *range(1, result.hidden_states[0].shape[1], self.frames)]
            result["hidden_states"] = tuple(states[:, first] for states in result.hidden_states)
            if "last_hidden_state" in result:
                result["last_hidden_state"] = result.last_hidden_state[:, first]
        return result

    def dummy_inputs(self) -> dict[str, Tensor]:
        pixels, _ = self._preprocess([Image.linear_gradient("L").convert("RGB")])
        return self._batch([pixels])

    def _preprocess(self, frames: Sequence[Image.Image]) -> tuple[Tensor, Picture]:
        """The processor's pixels [frame, channel, height, width], and what is shown of them in its own colours.

        Args:
            frames: one picture, or as many as the model reads.
        """
        # One by one, as a video processor takes one picture as a video of one frame.
        made = [self.processor(frame, return_tensors="pt")["pixel_values"].flatten(0, -4)[0] for frame in frames]
        pixels = torch.stack(made).to(self.device)
        patch_size = self.vision_config.patch_size
        high, wide = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
        shape = (pixels.shape[2] // high, pixels.shape[3] // wide)
        shown = [i * len(frames) // self.slices for i in range(self.slices)]  # the first frame of each patch
        visible = {i: self._visible(frames[i])[: shape[0] * high, : shape[1] * wide] for i in set(shown)}
        seen = np.concatenate([visible[i] for i in shown])
        seen.flags.writeable = False
        rows, columns = self.slices * shape[0], shape[1]
        if self.stage is not None:
            rows, columns = self.stage.rows, self.stage.columns
        first = len(self._prefix_labels(rows * columns))
        return pixels, Picture(seen, rows, columns, first, frames=self.slices)

    def _visible(self, frame: Image.Image) -> Array:
        """A picture as the model sees it, resized and cropped, in its own colours. uint8 [height, width, channel]"""
        plain = self.processor(frame, return_tensors="np", do_rescale=False, do_normalize=False)["pixel_values"]
        plain = np.asarray(plain).reshape(-1, *np.shape(plain)[-3:])[0]
        return plain.transpose(1, 2, 0).clip(0, 255).astype(np.uint8)

    def _prefix_labels(self, patches: int) -> list[str]:
        """Labels of the tokens before the patches, such as "[CLS]"."""
        if self.trial_tokens == patches:  # such a token stands in the head that pools the patches, as in AIMv2
            return []
        return prefix_labels(self.module)
