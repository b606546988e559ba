"""A video transformer with attention over time and over space one after the other (TimeSformer, Bertasius et al. 2021).

Every frame is cut into patches, each with a margin around it. A patch first looks at the patches of its own place in
all frames, then at all patches of its own frame. The blocks are those of `model.translator.transformer`; norms stand
before them, as in TimeSformer. Shapes: b clips, f frames, p patches of a frame, d = d_model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from model.attention.edit_plan import move_positions
from model.positions.sinusoidal import sinusoidal
from model.translator.transformer import Config, FeedForward, MultiHeadAttention
from model.translator.weights import read_weights

Masks = tuple[Tensor, ...]  # over time, over space
FEWEST_VOTES = 1e-3  # of a patch: keeps the logarithm finite
DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")


def patches(pixels: Tensor, patch: int, margin: int = 0) -> Tensor:
    """Frames cut into patches, row by row. [b, f, height, width] -> [b, f, p, (patch + 2 · margin)²]

    Args:
        margin: how many pixels around itself a patch also sees; 0 (black) beyond the border.
    """
    seen = patch + 2 * margin
    framed = F.pad(pixels, (margin,) * 4)
    cut = framed.unfold(2, seen, patch).unfold(3, seen, patch)  # [b, f, row, column, seen, seen]
    return cut.flatten(4).flatten(2, 3)


@dataclass(frozen=True)
class VideoConfig:
    """Sizes of the model; `config.json` beside the weights."""

    frames: int = 8
    size: int = 30
    patch: int = 6
    margin: int = 3
    d_model: int = 96
    num_heads: int = 4
    layers: int = 3
    d_ff: int = 384
    digits: int = 10
    directions: int = len(DIRECTIONS)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise ValueError(f"size must be a multiple of patch; got {self.size} and {self.patch}")

    @property
    def patches(self) -> int:
        """Patches of one frame."""
        return (self.size // self.patch) ** 2

    @property
    def blocks(self) -> Config:
        """The sizes as the blocks of the text transformer take them."""
        return Config(1, d_model=self.d_model, num_heads=self.num_heads, d_ff=self.d_ff, dropout=self.dropout)


class DividedLayer(nn.Module):
    """Attention over time, attention over space, feed-forward; x + Sublayer(LayerNorm(x)) around each."""

    def __init__(self, config: VideoConfig, layer: int) -> None:
        super().__init__()
        self.time_attention = MultiHeadAttention(config.blocks, "time", layer)
        self.space_attention = MultiHeadAttention(config.blocks, "space", layer)
        self.feed_forward = FeedForward(config.blocks, "encoder", layer)
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(config.d_model) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        """[b, f, p, d] -> [b, f, p, d]

        Args:
            masks: as `VideoTransformer.masks` returns them: each attention runs over all tokens of the clip under its
                mask, which gives the same numbers, and a record and edits in terms of tokens; None runs it over the
                tokens that a mask allows alone, which takes less time.
        """
        if masks is not None:
            for norm, attend, mask in zip((self.norm_1, self.norm_2), self.attentions, masks, strict=True):
                y = norm(x).flatten(1, 2)  # [b, f · p, d]
                x = x + self.dropout(attend(y, y, mask).view_as(x))
        else:
            clips = x.shape[0]
            y = self.norm_1(x).transpose(1, 2).flatten(0, 1)  # [b · p, f, d]: a place through all frames
            x = x + self.dropout(self.time_attention(y, y, None).unflatten(0, (clips, -1)).transpose(1, 2))
            y = self.norm_2(x).flatten(0, 1)  # [b · f, p, d]: a frame
            x = x + self.dropout(self.space_attention(y, y, None).unflatten(0, (clips, -1)))
        return x + self.dropout(self.feed_forward(self.norm_3(x)))

    @property
    def attentions(self) -> tuple[MultiHeadAttention, MultiHeadAttention]:
        """Over time, over space."""
        return self.time_attention, self.space_attention


class VideoTransformer(nn.Module):
    """Pixels in; for each digit, scores that it is not in the clip or moves in one of the directions.

    Each patch says what covers it and which way that moves, and the answers for the clip are read from these votes.
    """

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear((config.patch + 2 * config.margin) ** 2, config.d_model)
        self.time_positions = nn.Parameter(torch.empty(config.frames, config.d_model))
        self.space_positions = nn.Parameter(torch.empty(config.patches, config.d_model))
        self.layers = nn.ModuleList(DividedLayer(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.patch_head = nn.Linear(config.d_model, config.digits + 1 + config.directions)
        self.vote_scale, self.vote_offset = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-2.0))
        # Learned from sinusoidal ones on: rows in one half of the dimensions, columns in the other.
        row_and_column = np.divmod(np.arange(config.patches), config.size // config.patch)
        halves = sinusoidal(config.size // config.patch, config.d_model // 2, base=100)
        with torch.no_grad():
            self.time_positions.copy_(torch.from_numpy(sinusoidal(config.frames, config.d_model, base=100)))
            self.space_positions.copy_(torch.from_numpy(np.concatenate([halves[at] for at in row_and_column], axis=1)))

    def embed(self, pixels: Tensor) -> Tensor:
        """Patches and where they stand. pixels: uint8 [b, f or fewer, height, width]. Returns [b, f or fewer, p, d]"""
        values = patches(pixels, self.config.patch, self.config.margin).to(self.embedding.weight.dtype) / 255
        positions = move_positions(self.positions(values.shape[1]))
        return self.embedding(values) + positions.unflatten(0, (values.shape[1], -1))

    def positions(self, frames: int) -> Tensor:
        """What is added to the tokens of so many frames: the encoding of the frame and of the place. [f · p, d]"""
        return (self.time_positions[:frames, None] + self.space_positions).flatten(0, 1)

    def masks(self, frames: int) -> Masks:
        """Which tokens of a clip a token may look at: over time those of its place, over space those of its frame.

        bool [1, 1, f · p, f · p] each; frame by frame, row by row.
        """
        token = torch.arange(frames * self.config.patches, device=self.patch_head.weight.device)
        places, frame_of = token % self.config.patches, token // self.config.patches
        return tuple((key[:, None] == key)[None, None] for key in (places, frame_of))

    def encode(self, pixels: Tensor, masks: Masks | None = None) -> list[Tensor]:
        """Hidden states, embedding first, [b, f, p, d] each. masks: as in `DividedLayer.forward`."""
        hidden = [self.embed(pixels)]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], masks))
        return hidden

    def answer(self, hidden: Tensor) -> Tensor:
        """hidden: the last state, [b, f, p, d]. Returns logits [b, digit, answer]; answer 0 is "not in the clip"."""
        names, directions = self.answer_of_patches(hidden)
        # How many patches show a digit that moves in a direction, each counted by how sure it is.
        votes = torch.einsum("bfpn,bfpk->bnk", names.softmax(-1)[..., :-1], directions.softmax(-1))
        there = self.vote_scale * (votes.float() + FEWEST_VOTES).log() + self.vote_offset
        return F.pad(there, (1, 0))  # "not in the clip" has the logit 0, which the others are measured against

    def answer_of_patches(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of what covers each patch, the last of them nothing, [b, f, p, digit + 1], and of the direction."""
        both = self.patch_head(self.norm(hidden))
        return both[..., : self.config.digits + 1], both[..., self.config.digits + 1 :]

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: uint8 [b, f, height, width]. Returns logits [b, digit, answer]."""
        return self.answer(self.encode(pixels)[-1])

    def save(self, folder: Path) -> None:
        """Write half-precision weights and the config."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(asdict(self.config), indent=2) + "\n")

    @classmethod
    def open(cls, folder: Path) -> VideoTransformer:
        """Read what `save` wrote."""
        module = cls(VideoConfig(**json.loads((folder / "config.json").read_text())))
        read_weights(module, folder)
        return module.eval()
