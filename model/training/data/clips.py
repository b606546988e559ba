"""Clips of moving handwritten digits, drawn so that every track is known.

The digits are the 1,797 images of 8 × 8 pixels of `sklearn.datasets.load_digits`. The parts share no image; as each
writer wrote many, of the writers of the test other images are in training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.translator.video.divided_attention import DIRECTIONS, patches

ROOM = 1.15  # a varied image is larger by this factor, so that nothing of a wide one is cut off
TRIES, TWO_DIGITS = 24, 0.8  # tracks tried for two digits that do not touch; share of clips in which two are tried


@dataclass(frozen=True)
class Digits:
    """Images and what they show.

    Attributes:
        images: float32 [image, 8, 8], 0 (paper) to 1 (ink)
        names: int64 [image], 0 to 9
    """

    images: Tensor
    names: Tensor


@dataclass(frozen=True)
class Clips:
    """Clips with their answers.

    Attributes:
        pixels: uint8 [clip, frame, height, width]
        answers: int64 [clip, 10]; for each digit 0 where it is not in the clip, else 1 + its place in `DIRECTIONS`.
        ink: how much of each pixel each of the one or two digits covers. float32 [clip, 2, frame, height, width]
        names, directions: of each of the two, absent ones too. int64 [clip, 2]
    """

    pixels: Tensor
    answers: Tensor
    ink: Tensor
    names: Tensor
    directions: Tensor

    def of_patches(self, patch: int) -> tuple[Tensor, Tensor, Tensor]:
        """What covers each patch, where at least a tenth of it is ink; of two digits the one with more ink.

        Returns:
            covered bool, name and direction int64, [clip, frame, patch] each; both 0 where nothing covers it.
        """
        ink = torch.stack([patches(self.ink[:, digit], patch).mean(-1) for digit in (0, 1)])  # [digit, clip, f, p]
        covered, more = ink.amax(0) > 0.1, ink.argmax(0)

        def of(values: Tensor) -> Tensor:
            return values.gather(1, more.flatten(1)).view(more.shape) * covered

        return covered, of(self.names), of(self.directions)


def part_of(image: int, count: int) -> str:
    """The part that an image belongs to, by its place among `count`.

    The first 70 % are for training, and so are, of the others, those that are in neither "validation" (every sixth) nor
    "test" (every third).
    """
    if image < 0.7 * count or image % 6 in (1, 2, 4):
        return "train"
    return "validation" if image % 6 == 5 else "test"


def read_digits(part: str) -> Digits:
    """The digits of one part: "train", "validation" or "test"."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = [i for i in range(len(digits.target)) if part_of(i, len(digits.target)) == part]
    return Digits(torch.tensor(digits.images[chosen], dtype=torch.float32) / 16, torch.tensor(digits.target[chosen]))


def draw(digits: Digits, count: int, frames: int, size: int, seed: int, varied: bool = False) -> Clips:
    """Clips of one or two different digits, each moving straight on in one of eight directions.

    Each digit is turned by up to 12 degrees, 8 to 11 pixels large, moves 10 to 15 pixels, and stays inside; two never
    cover each other.

    Args:
        varied: draw each digit a little slanted, wider or narrower, and with a thicker or thinner pen, as another
            writer might; for training.
    """
    rng = torch.Generator().manual_seed(seed)
    which = torch.randint(len(digits.names), (count, 2), generator=rng)
    same = digits.names[which[:, 0]] == digits.names[which[:, 1]]
    half = (8 + 3 * torch.rand(count, 2, generator=rng)) / 2
    directions = torch.randint(len(DIRECTIONS), (TRIES, count, 2), generator=rng)
    angle = directions * (2 * math.pi / len(DIRECTIONS))
    length = 10 + 5 * torch.rand(TRIES, count, 2, generator=rng)
    way = length[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)  # x, y in pixels, first to last frame
    # The middle starts where neither it nor the place it gets to is less than half a digit from the border.
    low = half[..., None] - way.clamp(max=0)
    high = size - half[..., None] - way.clamp(min=0)
    begin = low + (high - low) * torch.rand(TRIES, count, 2, 2, generator=rng)
    middles = begin[:, :, :, None] + (way / (frames - 1))[:, :, :, None] * torch.arange(frames)[:, None]
    # Two squares touch where they are less than their halves, and a pixel's blur, apart both across and down.
    gap = (middles[:, :, 0] - middles[:, :, 1]).abs().amax(-1).amin(-1) - half.sum(-1) - 1  # [try, clip]
    two = (torch.rand(count, generator=rng) < TWO_DIGITS) & ~same & (gap.amax(0) > 0)
    chosen, clip = (gap > 0).int().argmax(0) * two, torch.arange(count)  # the first try that fits, or the first
    middle, direction = middles[chosen, clip], directions[chosen, clip]  # [clip, digit, frame, (x, y)], [clip, digit]
    present = torch.stack([torch.ones(count), two], dim=1)  # [clip, 2]
    turn = (torch.rand(count, 2, generator=rng) - 0.5) * math.radians(24)
    images = _varied(digits.images[which], rng) if varied else digits.images[which]
    ink = _placed(images, middle, half * ROOM if varied else half, turn, size) * present[..., None, None, None]
    answers = torch.zeros(count, 10, dtype=torch.int64)
    names, rows = digits.names[which], torch.arange(count)
    for digit in (1, 0):  # the first is in every clip, and overwrites an absent second one of its name
        answers[rows, names[:, digit]] = (direction[:, digit] + 1) * present[:, digit].long()
    return Clips((255 * ink.amax(dim=1)).round().to(torch.uint8), answers, ink, names, direction)


def _varied(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images as other writers might have drawn them, each in a square larger by `ROOM`.

    [clip, digit, 8, 8] -> [clip, digit, 16, 16]
    """
    count = images.shape[0] * images.shape[1]
    draws = 2 * torch.rand(count, 4, generator=rng) - 1
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = ROOM + 0.15 * draws[:, 0], ROOM + 0.15 * draws[:, 1]
    matrix[:, 0, 1] = 0.2 * draws[:, 2]
    grid = F.affine_grid(matrix, [count, 1, 16, 16], align_corners=False)
    drawn = F.grid_sample(images.flatten(0, 1)[:, None], grid, mode="bilinear", align_corners=False)
    thinner = torch.exp(0.5 * draws[:, 3])[:, None, None]
    return (drawn[:, 0].clamp(min=0) ** thinner).view(*images.shape[:2], 16, 16)


def _placed(images: Tensor, middle: Tensor, half: Tensor, turn: Tensor, size: int) -> Tensor:
    """Images around their middles. images: [clip, digit, side, side]. Returns [clip, digit, frame, height, width]"""
    count, digits, frames = middle.shape[:3]
    cos, sin = turn.cos(), turn.sin()
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)  # [clip, digit, 2, 2]
    matrix = matrix / half[..., None, None] * size / 2  # of the picture's coordinates into the image's, both -1 to 1
    shift = -(matrix[:, :, None] @ (2 * middle / size - 1)[..., None])  # [clip, digit, frame, 2, 1]
    affine = torch.cat([matrix[:, :, None].expand(-1, -1, frames, -1, -1), shift], dim=-1).flatten(0, 2)
    grid = F.affine_grid(affine, [len(affine), 1, size, size], align_corners=False)
    repeated = images[:, :, None].expand(-1, -1, frames, -1, -1).flatten(0, 2)[:, None]
    drawn = F.grid_sample(repeated, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return drawn.view(count, digits, frames, size, size)
