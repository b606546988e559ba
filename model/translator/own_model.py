"""What the opened from-scratch models of text share: tokenizer, sizes, positions, labels of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.attention.devices import dtype_name, find_device
from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.projections import find_projections
from model.measures.heads.head_effects import head_effects
from model.measures.logit_lens import logit_lens
from model.positions.scheme import PositionScheme
from model.positions.sinusoidal import columns, sinusoidal
from model.tokenization.labels import tell_apart
from model.tokenization.length import check_ids, check_length
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices
from model.translator.decomposition import boxes, take_pass_apart
from model.translator.labels import label_tokens
from model.translator.transformer import Config, TiedEmbedding, skip_initialization
from model.translator.weights import read_weights


class OwnModel:
    """A from-scratch transformer of text with its tokenizer.

    Attributes:
        architecture: the class of its module.
        module: the `torch.nn.Module` that runs.
        max_tokens: longest text in tokens, with the mark that the model puts around it.
        device: name of the PyTorch device that it runs on.
        heads: attention kind -> (layers, heads).
    """

    architecture: ClassVar[type[TiedEmbedding]]
    takes = "text"
    choices = InputChoices()
    head_effects, logit_lens = head_effects, logit_lens
    take_pass_apart, boxes = take_pass_apart, boxes
    is_encoder_decoder: bool
    writes = True
    can_move_positions = True
    heads: Mapping[str, tuple[int, int]]
    layer_index: Mapping[str, Sequence[int]] = MappingProxyType({})  # all layers have attention

    def __init__(self, module: Any, tokenizer: Tokenizer, device: str) -> None:
        self.module = module.to(device).eval()
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True  # who types "</s>" means these letters, not the end mark
        self.config: Config = module.config
        self.max_tokens = module.config.max_tokens
        self.device = device
        self.dtype = dtype_name(self.module)
        depths = {"encoder": self.config.encoder_layers, "decoder": self.config.decoder_layers}
        depths["cross"] = self.config.decoder_layers if self.is_encoder_decoder else 0
        self.heads = {kind: (depth, self.config.num_heads) for kind, depth in depths.items() if depth}

    @classmethod
    def open(cls, folder: Path, device: str = "auto", dtype: torch.dtype = torch.float32) -> Self:
        """A model from a folder that a recipe of `model.training` wrote.

        Args:
            device: a PyTorch device, or "auto" for the fastest.

        Raises:
            ValueError: this machine has no such device.
            OSError: a file of the folder is missing.
            ModelError: weights hold NaN or infinite numbers.
        """
        with skip_initialization():
            module = cls.architecture(Config(**json.loads((folder / "config.json").read_text())))
        read_weights(module, folder)
        return cls(module.to(dtype), Tokenizer.from_file(str(folder / "tokenizer.json")), find_device(device))

    def positions(self, stack: str | None = None) -> PositionScheme:
        """The positional encoding that the model adds to its embeddings, the same in every stack."""
        width = self.config.d_model
        table, added = sinusoidal(self.max_tokens, width), to_numpy(self.module.positions)[: self.max_tokens]
        error = float(abs(table[: len(added)] - added).max())
        return PositionScheme("sinusoidal", table=table, rotations=(columns(width),), error=error)

    def trace(self, text: str, target: Target = None, edits: Edits | None = None) -> Trace:
        """The trace of one pass: attention, hidden states, neurons and logits of every layer.

        Args:
            text: what the encoder reads; of a decoder alone the prompt, read as it is.
            target: an output to force, or what follows the prompt, as text or as ids; with None a translator writes its
                own, and a decoder alone continues the prompt, while the trace is that of the prompt.
            edits: changes to the pass; None and `Edits()` change nothing.

        Raises:
            InputError: a text is blank or too long, or an edit cannot be applied.
        """
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """Traces of several texts, run as one padded batch."""
        raise NotImplementedError

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        """Readable label of each id on its own, told from the others; together: as tokens of one text."""
        if together:
            return label_tokens(self.tokenizer, self.config, torch.tensor(list(ids), dtype=torch.long)).texts
        found = [label_tokens(self.tokenizer, self.config, torch.tensor([one])) for one in ids]
        return tell_apart(ids, [one.texts[0] for one in found], [one.raw[0] for one in found])

    def guess(self, text: str, position: int, edits: Edits | None = None) -> None:
        """None: the model was not trained to predict masked tokens."""

    def _encode(self, text: str, which: str) -> Encoding:
        """A text's tokens, without marks. which: "text" or "target", for the error of a text that is too long."""
        encoding = self.tokenizer.encode(text)
        check_length(which, len(encoding.ids), self.max_tokens - 1)
        return encoding

    def _forced(self, target: str | Sequence[int]) -> list[int]:
        """Ids of a forced output, without marks.

        Raises:
            InputError: it is blank or too long.
            ValueError: an id is not in the vocabulary.
        """
        ids = list(self._encode(target, "target").ids) if isinstance(target, str) else list(target)
        if ids:
            check_length("target", len(ids), self.max_tokens - 1)
        check_ids(ids, self.config.vocab_size)
        return ids

    def _pad(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Ids padded at the end. int64 [row, token]"""
        longest = max(map(len, rows))
        padded = [[*row, *[self.config.pad] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=self.device)

    def _find_projections(
        self, inputs: Sequence[Tensor], row: int, plan: EditPlan | None, recorded: RecordedLayer
    ) -> MultiHeadLayer | NotMultiHead:
        """The multi-head layer around a recorded call, from one more pass."""
        with apply_edits(plan):
            return find_projections(self.module, lambda module: module(*inputs), row, recorded)
