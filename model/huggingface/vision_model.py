"""Any Hugging Face vision transformer: a picture is cut into patches, and each patch is a token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from model.arrays.torch_to_numpy import stacked, to_numpy
from model.attention.devices import find_device
from model.attention.edit_plan import EditPlan, editing, plan_edits
from model.attention.record import record
from model.huggingface.image_files import Given, read_picture
from model.huggingface.layers import attention_of
from model.huggingface.opening import architectures
from model.huggingface.text_model import TextModel
from model.trace.edits import UNCHANGED, Edits
from model.trace.tokens import Picture, Tokens
from model.trace.trace import Target, Trace

# What may stand before the patches, in this order, by the name of the parameter that holds it.
EXTRAS = {"cls_token": "[CLS]", "distillation_token": "[DIST]", "register_tokens": "[REG]"}


class VisionModel(TextModel):
    """A Hugging Face vision model with its image processor; public names as `model.translator.translator.Translator`.

    Attributes:
        max_tokens: how many tokens every picture has; all are brought to the same size.
        frames: how many frames a model of videos reads, 0 for one of pictures; it is given the same picture in each.
    """

    takes = "image"
    is_pair = False

    def __init__(self, module: Any, processor: Any, device: str) -> None:
        self.module = module.to(device).eval()
        self.processor = processor
        self.device = device
        self.config = module.config
        self.frames = int(getattr(self.config, "num_frames", 0))
        self._join()
        _, shown = self._see(Image.new("RGB", (64, 64)))
        self.tokens = self._patches(shown)
        self.trace(Image.new("RGB", (64, 64)))  # windows, masks and marks that nobody knows do not fit, and raise
        self.max_tokens = len(self.tokens)

    @classmethod
    def open(cls, name: str | Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> VisionModel:
        """Open a folder. No code that comes with the weights is run; pickles load weights only."""
        # Eager from the start: some families cannot be switched to it later.
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, attn_implementation="eager")
        architecture = (getattr(config, "architectures", None) or [""])[0]
        sorts = architecture in architectures(AutoModelForImageClassification)
        opener: Any = AutoModelForImageClassification if sorts else AutoModel
        module = opener.from_pretrained(name, config=config, trust_remote_code=False, weights_only=True, dtype=dtype)
        # Pillow does the resizing: the other backend would need torchvision.
        processor = AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        return cls(module, processor, find_device(device))

    def trace(self, text: Given, target: Target = None, edits: Edits | None = None) -> Trace:
        """Run the model on a picture and keep what every layer computed.

        Args:
            text: the picture: its path, its bytes, or a PIL image.
            target: not used; no picture has an output that could be forced.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: it is no picture, or one that cannot be read.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[Given], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Run several pictures as one batch."""
        read = [read_picture(given) for given in texts]
        seen = [self._see(picture) for picture, _ in read]
        inputs = self._batch([pixels for pixels, _ in seen])
        plan = plan_edits(self, edits)
        with torch.inference_mode(), editing(plan), record() as kept:
            result = self.run(self.module, inputs, eager=not self.sees_inside)
        layers = self._layers(result, kept, len(texts))
        classes: Tensor | None = getattr(result, "logits", None)
        logits = None if classes is None else classes[:, None]  # [picture, 1, class]
        answer = result.last_hidden_state if logits is None else logits
        tokens = {"encoder": self.tokens}
        traces = []
        for row, (given, (_, notes), (_, shown)) in enumerate(zip(texts, read, seen, strict=True)):
            attentions = {kind: attention_of(kind, rows[row], tokens) for kind, rows in layers.items()}
            trace = Trace(
                text=str(given) if isinstance(given, (str, Path)) else "",
                attentions=attentions,
                hidden_states=stacked({"encoder": result.hidden_states}, row),
                neurons={},
                tokens=tokens,
                ids={"encoder": ()},
                given=0,
                predicted=None,
                logits=None if logits is None else to_numpy(logits[row]),
                output=None if classes is None else str(self.config.id2label[int(classes[row].argmax())]),
                notes=(*notes, *self._notes()),
                device=self.device,
                edits=edits or UNCHANGED,
                check=partial(self._verify, inputs, attentions, answer, row, {"encoder": len(self.tokens)}, plan=plan),
                find=partial(self._find, inputs, row, plan),
                picture=shown,
            )
            traces.append(trace)
        return tuple(traces)

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        """What the classes of these numbers are called."""
        return tuple(str(self.config.id2label[i]) for i in ids)

    def guess(self, text: Given, place: int, edits: Edits | None = None) -> None:
        """Vision models here were not trained to guess hidden patches."""

    def _inputs(
        self, texts: Sequence[Given], targets: Sequence[Target], plan: EditPlan | None
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        return self._batch([self._see(read_picture(given)[0])[0] for given in texts]), []

    def _batch(self, pictures: Sequence[Tensor]) -> dict[str, Tensor]:
        pixels = torch.stack(list(pictures))  # [picture, channel, height, width]
        return {"pixel_values": pixels[:, None].expand(-1, self.frames, -1, -1, -1) if self.frames else pixels}

    def run(self, module: Any, inputs: dict[str, Tensor], eager: bool, cached: bool = False) -> Any:
        """One pass, all states kept; of a video its first frame: what it looks at within that frame."""
        result = super().run(module, inputs, eager, cached)
        if self.frames:
            # Frames of a picture follow each other in the batch, and a patch's frames among the tokens.
            if result.attentions is not None:
                result["attentions"] = tuple(layer[:: self.frames] for layer in result.attentions)
            first = [0, *range(1, result.hidden_states[0].shape[1], self.frames)]
            result["hidden_states"] = tuple(states[:, first] for states in result.hidden_states)
            if "last_hidden_state" in result:
                result["last_hidden_state"] = result.last_hidden_state[:, first]
        return result

    def _notes(self) -> tuple[tuple[str, str], ...]:
        return (*super()._notes(), *([("still", str(self.frames))] if self.frames else []))

    def _probe(self) -> dict[str, Tensor]:
        pixels, _ = self._see(Image.new("RGB", (64, 64)))
        return self._batch([pixels])

    def _see(self, picture: Image.Image) -> tuple[Tensor, Picture]:
        """What the model is given [channel, height, width], and the same as a person sees it."""
        # A processor of videos takes one picture for a video of one frame.
        pixels = self.processor(picture, return_tensors="pt")["pixel_values"].flatten(0, -4)[0].to(self.device)
        # The same resizing and cropping without the arithmetic on the colours.
        plain = self.processor(picture, return_tensors="np", do_rescale=False, do_normalize=False)["pixel_values"]
        plain = np.asarray(plain).reshape(-1, *np.shape(plain)[-3:])[0]
        sides = self.config.patch_size
        high, wide = (sides, sides) if isinstance(sides, int) else sides
        shape = (pixels.shape[1] // high, pixels.shape[2] // wide)
        shown = plain.transpose(1, 2, 0).clip(0, 255).astype(np.uint8)
        shown.flags.writeable = False
        return pixels, Picture(shown[: shape[0] * high, : shape[1] * wide], *shape, first=len(self._extras()))

    def _extras(self) -> list[str]:
        """The tokens that stand before the patches."""
        sizes = {name.rsplit(".", 1)[-1]: part.shape for name, part in self.module.named_parameters()}
        found = [(label, sizes[name][1]) for name, label in EXTRAS.items() if name in sizes]
        return [label for label, count in found for _ in range(count)]

    def _patches(self, picture: Picture) -> Tokens:
        extras = self._extras()
        places = [f"{row},{column}" for row in range(picture.rows) for column in range(picture.columns)]
        return Tokens((*extras, *places), (*[True] * len(extras), *[False] * len(places)))
