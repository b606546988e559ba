"""A video transformer with attention over time and over space one after the other (TimeSformer, Bertasius et al. 2021).

Every frame is cut into patches. A patch first looks at the patches of its own place in all frames, then at all patches
of its own frame. The blocks are those of `model.translator.transformer`; norms stand before them, as in TimeSformer.
Shapes: b clips, f frames, p patches of a frame, d = d_model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.translator.transformer import Config, FeedForward, MultiHeadAttention
from model.translator.weights import read_weights

DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")


def patches(pixels: Tensor, patch: int) -> Tensor:
    """Frames cut into patches, row by row. [b, f, height, width] -> [b, f, p, patch²]"""
    cut = pixels.unfold(2, patch, patch).unfold(3, patch, patch)  # [b, f, row, column, patch, patch]
    return cut.flatten(4).flatten(2, 3)


@dataclass(frozen=True)
class VideoConfig:
    """Sizes of the model; `config.json` beside the weights."""

    frames: int = 8
    size: int = 28
    patch: int = 4
    d_model: int = 128
    num_heads: int = 4
    layers: int = 4
    d_ff: int = 512
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
        self.feed_forward = FeedForward(config.blocks, "video", layer)
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(config.d_model) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[b, f, p, d] -> [b, f, p, d]"""
        clips = x.shape[0]
        y = self.norm_1(x).transpose(1, 2).flatten(0, 1)  # [b · p, f, d]: a place through all frames
        x = x + self.dropout(self.time_attention(y, y, None).unflatten(0, (clips, -1)).transpose(1, 2))
        y = self.norm_2(x).flatten(0, 1)  # [b · f, p, d]: a frame
        x = x + self.dropout(self.space_attention(y, y, None).unflatten(0, (clips, -1)))
        return x + self.dropout(self.feed_forward(self.norm_3(x)))


class VideoTransformer(nn.Module):
    """Pixels in; for each digit, scores that it is not in the clip or moves in one of the directions.

    A second, smaller output says of each patch what covers it and which way that moves. It is only trained on: what one
    patch can know is learned long before what a clip shows.
    """

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(config.patch**2, config.d_model)
        self.time_positions = nn.Parameter(torch.empty(config.frames, config.d_model))
        self.space_positions = nn.Parameter(torch.empty(config.patches, config.d_model))
        self.layers = nn.ModuleList(DividedLayer(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.head = nn.Linear(config.d_model, config.digits * (1 + config.directions))
        self.patch_head = nn.Linear(config.d_model, config.digits + 1 + config.directions)
        for positions in (self.time_positions, self.space_positions):
            nn.init.normal_(positions, std=0.02)

    def embed(self, pixels: Tensor) -> Tensor:
        """Patches and where they stand. pixels: uint8 [b, f or fewer, height, width]. Returns [b, f or fewer, p, d]"""
        values = patches(pixels, self.config.patch).to(self.embedding.weight.dtype) / 255
        return self.embedding(values) + self.time_positions[: values.shape[1], None] + self.space_positions

    def encode(self, pixels: Tensor) -> list[Tensor]:
        """Hidden states, embedding first, [b, f, p, d] each."""
        hidden = [self.embed(pixels)]
        for layer in self.layers:
            hidden.append(layer(hidden[-1]))
        return hidden

    def answer(self, hidden: Tensor) -> Tensor:
        """hidden: the last state, [b, f, p, d]. Returns logits [b, digit, answer]; answer 0 is "not in the clip"."""
        pooled = self.norm(hidden).mean(dim=(1, 2))
        return self.head(pooled).unflatten(-1, (self.config.digits, 1 + self.config.directions))

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
