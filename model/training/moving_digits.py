"""Train the video model: a clip of one or two moving digits in; which digits, and which way each moves, out.

    python -m model.training.moving_digits --out runs/moving-digits
    python -m model.training.moving_digits --out runs/moving-digits --score

Needs scikit-learn for its digits (BSD licence). Clips are drawn anew for every round, so every track is known.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from model.attention.record import record
from model.training.data.clips import Clips, Digits, draw, read_digits
from model.training.loop import Batch, train
from model.training.options import add_options, options_from
from model.translator.video.divided_attention import DIRECTIONS, VideoConfig, VideoTransformer

IGNORED = -100  # targets that F.cross_entropy leaves out
TEST_CLIPS, VALIDATION_CLIPS = 2000, 500
VOTE_CHANGES = (0.0, -0.25, -0.5, -0.75, -1.0, -1.25, -1.5)  # of the votes' offset, the smallest first
TEST_SEED = 1  # of the test clips; training clips use larger ones


class MovingDigits:
    """Examples, loss and figures of the video model; args: as `main` reads them."""

    short = True

    def __init__(self, config: VideoConfig, args: argparse.Namespace) -> None:
        self.config, self.args = config, args
        self.digits: Digits = read_digits("train")
        self.held = draw(read_digits("validation"), VALIDATION_CLIPS, config.frames, config.size, seed=2)

    def batches(self, number: int) -> Sequence[Batch]:
        """A round is 25 batches of new clips."""
        size, config, seed = self.args.clips, self.config, 1000 + 10_000 * self.args.seed + number
        clips = draw(self.digits, 25 * size, config.frames, config.size, seed, varied=True)
        covered, names, directions = clips.of_patches(config.patch)
        names[~covered] = self.config.digits
        directions[~covered] = IGNORED
        every = (clips.pixels, clips.answers, names, directions)
        return list(zip(*(part.split(size) for part in every), strict=True))

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of the clips' answers, and those of what each patch shows and of which way that moves."""
        assert isinstance(module, VideoTransformer)
        pixels, answers, names, directions = batch
        hidden = module.encode(pixels)[-1]
        of_clips = F.cross_entropy(module.answer(hidden).float().flatten(0, 1), answers.flatten())
        name, direction = (logits.float().flatten(0, 2) for logits in module.answer_of_patches(hidden))
        covered = names.flatten() < self.config.digits  # a sixth of the patches: the others would drown them
        of_each = F.cross_entropy(name, names.flatten(), reduction="none")
        of_names = of_each[covered].mean() + 0.2 * of_each[~covered].mean()
        return of_clips + of_names + F.cross_entropy(direction, directions.flatten(), ignore_index=IGNORED)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, VideoTransformer)
        logits = answer(module, self.held.pixels)
        loss = F.cross_entropy(logits.flatten(0, 1), self.held.answers.flatten()).item()
        return {"validation_loss": loss} | accuracies(logits, self.held.answers)

    def save(self, module: nn.Module, folder: Path) -> None:
        assert isinstance(module, VideoTransformer)
        calibrated(module, self.held).save(folder)


@torch.no_grad()
def answer(module: VideoTransformer, pixels: Tensor, batch: int = 50) -> Tensor:
    """Logits of many clips. uint8 [clip, frame, height, width] -> float32 [clip, digit, answer]"""
    device = module.patch_head.weight.device
    return torch.cat([module(part.to(device)).float().cpu() for part in pixels.split(batch)])


def calibrated(module: VideoTransformer, clips: Clips) -> VideoTransformer:
    """A copy that asks for as many votes as answer most of these clips right, where training asked for fewer.

    In training few patches vote for a digit that is not there; of digits by other writers more do.
    """
    logits = answer(module, clips.pixels)

    def right(change: float) -> float:
        moved = torch.cat([logits[..., :1], logits[..., 1:] + change], dim=-1)
        return accuracies(moved, clips.answers)["digits"]

    copied = copy.deepcopy(module)
    with torch.no_grad():
        copied.vote_offset.add_(max(VOTE_CHANGES, key=right))
    return copied


def accuracies(logits: Tensor, answers: Tensor) -> dict[str, float]:
    """Shares of clips that are answered right, in percent.

    Args:
        logits: [clip, digit, answer]; answers: int64 [clip, digit]; answer 0 is "not in the clip".

    Returns:
        "digits": the digits said to be there are those that are there, none missing and none too many;
        "directions": every digit that is there gets its direction, the likeliest of the eight;
        each also for the clips of "one" and of "two" digits.
    """
    there = answers > 0
    digits = ((logits.argmax(-1) > 0) == there).all(-1)
    directions = ((logits[..., 1:].argmax(-1) + 1 == answers) | ~there).all(-1)
    count = there.sum(-1)
    found = {}
    for name, clips in (("", count > 0), ("_one", count == 1), ("_two", count == 2)):
        for what, right in (("digits", digits), ("directions", directions)):
            found[what + name] = 100 * right[clips].float().mean().item()
    return found


def on_track(weights: Tensor, track: Tensor) -> tuple[Tensor, float]:
    """How much of the time attention on other frames goes to frames in which the digit covers the same place.

    Mean over the patches that the digit covers, in places that it covers in some but not in all frames.

    Args:
        weights: of one layer. [clip, patch, head, frame (query), frame (key)]
        track: bool [clip, frame, patch], True where the digit covers the patch.

    Returns:
        the share of each head, [head], and the share that even attention would have.
    """
    frames = track.shape[1]
    covered = track.transpose(1, 2)  # [clip, patch, frame]
    others = ~torch.eye(frames, dtype=torch.bool)
    wanted = covered[..., None, :] & others  # [clip, patch, query, key]
    asking = covered & (wanted.sum(-1) > 0) & (wanted.sum(-1) < frames - 1)
    looked = weights * others
    share = (looked * wanted[:, :, None]).sum(-1) / looked.sum(-1).clamp(min=1e-12)  # [clip, patch, head, query]
    chance = wanted.sum(-1) / (frames - 1)
    return share.transpose(2, 3)[asking].mean(0), chance[asking].float().mean().item()


@torch.no_grad()
def tracks(module: VideoTransformer, clips: Clips) -> dict[str, object]:
    """`on_track` of every time head, over the clips of one digit."""
    one = (clips.answers > 0).sum(-1) == 1
    pixels = clips.pixels[one][:200]
    track = clips.of_patches(module.config.patch)[0][one][:200]
    shares, chance = [], 0.0
    with record() as kept:
        module(pixels)
    for layer in range(module.config.layers):
        weights = kept.calls["time", layer].weights().unflatten(0, (len(pixels), -1))
        share, chance = on_track(weights, track)
        shares.append([round(value, 3) for value in share.tolist()])
    best = max((value, layer, head) for layer, row in enumerate(shares) for head, value in enumerate(row))
    return {"share_of_each_time_head": shares, "best": best, "chance": round(chance, 3), "clips": len(pixels)}


def score(folder: Path) -> dict[str, object]:
    """Figures of the saved model on clips of digits that no training clip showed."""
    module = VideoTransformer.open(folder)
    clips = draw(read_digits("test"), TEST_CLIPS, module.config.frames, module.config.size, TEST_SEED)
    found: dict[str, object] = {"clips": len(clips.pixels)}
    found |= {name: round(value, 2) for name, value in accuracies(answer(module, clips.pixels), clips.answers).items()}
    found["track"] = tracks(module, clips)
    (folder / "scores.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def write_examples(folder: Path, config: VideoConfig) -> None:
    """Write two clips of digits that no training clip showed, as `clip_one.gif` and `clip_two.gif`, with their tracks.

    A track is written as `model.structures.clip_tracks` reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips = draw(read_digits("test"), 20, config.frames, config.size, TEST_SEED + 1)
    counts = (clips.answers > 0).sum(-1)
    for count, name in ((1, "one"), (2, "two")):
        chosen = int((counts == count).nonzero()[0])
        frames = [Image.fromarray(frame.numpy()) for frame in clips.pixels[chosen]]
        file = folder / f"clip_{name}.gif"
        frames[0].save(file, save_all=True, append_images=frames[1:], duration=150, loop=0, optimize=False)
        digits = [
            {
                "shows": str(int(clips.names[chosen, digit])),
                "goes": DIRECTIONS[int(clips.directions[chosen, digit])],
                "boxes": [ink_box(ink) for ink in clips.ink[chosen, digit]],
            }
            for digit in range(count)
        ]
        lines = ",\n ".join(json.dumps(one) for one in digits)
        file.with_suffix(".json").write_text(f'{{"size": {config.size}, "tracks": [\n {lines}\n]}}\n')


def ink_box(ink: Tensor) -> list[int]:
    """The box around what a digit inks of a frame: left, top, right and bottom in pixels. ink: [height, width]"""
    rows, columns = ((ink > 0.1).any(axis).nonzero()[:, 0] for axis in (1, 0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", action="store_true", help="score the saved model instead of training")
    parser.add_argument("--examples", type=Path, help="write example clips into this folder instead of training")
    parser.add_argument("--clips", type=int, default=16, help="clips in a batch")
    parser.add_argument("--frames", type=int, default=8)
    add_options(parser, steps=3500, peak=2e-3, warmup=100, cooldown=2500, evaluate_every=250)
    args = parser.parse_args()
    if args.examples:
        write_examples(args.examples, VideoConfig(frames=args.frames))
        return
    if args.score:
        print(json.dumps(score(args.out), indent=1))
        return
    torch.manual_seed(args.seed)
    config = VideoConfig(frames=args.frames)
    train(VideoTransformer(config), MovingDigits(config, args), options_from(args), args.out)


if __name__ == "__main__":
    main()
