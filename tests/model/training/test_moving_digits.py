"""Clips whose answers are right, attention over time and space apart, figures on hand-made cases."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from model.assets import ASSETS
from model.attention.record import record
from model.structures.clip_files import read_clip
from model.training.data.clips import DIRECTIONS, Digits, draw, patches, read_digits
from model.training.moving_digits import (
    TEST_SEED,
    MovingDigits,
    accuracies,
    calibrated,
    on_track,
    write_examples,
)
from model.translator.video.divided_attention import VideoConfig, VideoTransformer

CONFIG = VideoConfig(frames=3, size=8, patch=4, d_model=16, num_heads=2, layers=2, d_ff=32)
DIGITS = Digits(torch.ones(10, 8, 8), torch.arange(10))


@pytest.fixture(scope="module")
def module() -> VideoTransformer:
    torch.manual_seed(0)
    return VideoTransformer(CONFIG).eval()


def pixels(clips: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (clips, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def test_patches_are_cut_row_by_row() -> None:
    frame = torch.arange(64).view(1, 1, 8, 8)
    cut = patches(frame, 4)
    assert cut.shape == (1, 1, 4, 16)
    assert cut[0, 0, :, 0].tolist() == [0, 4, 32, 36]
    assert cut[0, 0, 0, :5].tolist() == [0, 1, 2, 3, 8]


def test_a_patch_sees_its_margin_and_black_beyond_the_border() -> None:
    frame = torch.arange(1, 65).view(1, 1, 8, 8)
    seen = patches(frame, 4, margin=1)
    assert seen.shape == (1, 1, 4, 36)
    corner = seen[0, 0, 0].view(6, 6)
    assert corner[0].tolist() == corner[:, 0].tolist() == [0] * 6
    assert corner[1:, 1:].equal(frame[0, 0, :5, :5])
    assert seen[0, 0, 3].view(6, 6)[1:5, 1:5].equal(frame[0, 0, 4:, 4:])


def test_answers_are_read_from_the_votes_of_the_patches(module: VideoTransformer) -> None:
    hidden = torch.randn(2, 3, 4, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        names, directions = module.answer_of_patches(hidden)
        logits = module.answer(hidden)
        votes = torch.zeros(2, 10, 8)
        for clip in range(2):
            for frame in range(3):
                for place in range(4):
                    name, way = names[clip, frame, place].softmax(-1), directions[clip, frame, place].softmax(-1)
                    votes[clip] += name[:10, None] * way
        assert logits.shape == (2, 10, 9)
        assert (logits[..., 0] == 0).all()
        torch.testing.assert_close(logits[..., 1:], module.vote_scale * (votes + 1e-3).log() + module.vote_offset)


def test_rows_sum_to_one_over_time_and_over_space(module: VideoTransformer) -> None:
    with torch.no_grad(), record() as kept:
        module(pixels())
    assert set(kept.calls) == {(kind, layer) for kind in ("time", "space") for layer in range(2)}
    for (kind, _), call in kept.calls.items():
        weights = call.weights()
        assert weights.shape == ((8, 2, 3, 3) if kind == "time" else (6, 2, 4, 4))  # clip · place; clip · frame
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_space_attention_never_crosses_frames_and_time_attention_never_places(module: VideoTransformer) -> None:
    layer = module.layers[0]
    x = torch.randn(1, 3, 4, 16, generator=torch.Generator().manual_seed(2))

    def moved(part: str) -> torch.Tensor:
        """Which frames and places a change of frame 1, place 2 reaches through one of the attentions. [frame, place]"""
        y = x.clone()
        y[0, 1, 2] += 1
        results = []
        for value in (x, y):
            if part == "time":
                out = layer.time_attention(*[value.transpose(1, 2).flatten(0, 1)] * 2, None)
                results.append(out.unflatten(0, (1, 4)).transpose(1, 2))
            else:
                results.append(layer.space_attention(*[value.flatten(0, 1)] * 2, None).unflatten(0, (1, 3)))
        return ((results[0] - results[1]).abs().amax(-1) > 1e-7)[0]

    with torch.no_grad():
        assert moved("time").nonzero().tolist() == [[0, 2], [1, 2], [2, 2]]
        assert moved("space").nonzero().tolist() == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_a_layer_attends_as_its_two_attentions_say(module: VideoTransformer) -> None:
    """The layer hands each attention the tokens of one place, or of one frame, in order."""
    layer = module.layers[1]
    x = torch.randn(2, 3, 4, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        y = x.clone()
        for clip in range(2):
            for place in range(4):
                row = layer.norm_1(x[clip : clip + 1, :, place])
                y[clip, :, place] += layer.time_attention(row, row, None)[0]
        z = y.clone()
        for clip in range(2):
            for frame in range(3):
                row = layer.norm_2(y[clip : clip + 1, frame])
                z[clip, frame] += layer.space_attention(row, row, None)[0]
        z += layer.feed_forward(layer.norm_3(z))
        torch.testing.assert_close(layer(x), z, atol=1e-5, rtol=1e-5)


def test_saved_and_opened_it_is_the_same(module: VideoTransformer, tmp_path: Path) -> None:
    module.save(tmp_path)
    opened = VideoTransformer.open(tmp_path)
    assert opened.config == CONFIG
    with torch.no_grad():
        torch.testing.assert_close(opened(pixels()), module(pixels()), atol=1e-2, rtol=1e-2)


def test_a_digit_moves_the_way_its_answer_says_and_stays_inside() -> None:
    clips = draw(DIGITS, 300, 6, 28, seed=0)
    ways = torch.tensor([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]])  # x, y of DIRECTIONS
    grid = torch.arange(28) + 0.5
    assert len(ways) == len(DIRECTIONS)
    for clip in range(300):
        there = clips.answers[clip].nonzero().flatten()
        ink = clips.ink[clip]
        assert len(there) == (ink.sum((1, 2, 3)) > 0).sum()
        if len(there) == 1:
            mass = ink[0].sum((1, 2))
            assert mass.min() > 0.93 * mass.max()  # nothing of it is ever outside
            x = (ink[0].sum(1) * grid).sum(-1) / mass
            y = (ink[0].sum(2) * grid).sum(-1) / mass
            step = torch.stack([x[-1] - x[0], y[-1] - y[0]])
            way = ways[clips.answers[clip, there[0]] - 1] / ways[clips.answers[clip, there[0]] - 1].float().norm()
            assert (step @ way) / step.norm() > 0.99


def test_two_digits_never_cover_each_other() -> None:
    clips = draw(DIGITS, 300, 8, 30, seed=5)
    assert 60 < ((clips.answers > 0).sum(-1) == 2).sum() < 240
    assert (clips.ink[:, 0] * clips.ink[:, 1]).max() < 0.1  # a turned digit's corners may


def test_patches_know_what_covers_them() -> None:
    clips = draw(DIGITS, 40, 4, 28, seed=3)
    covered, names, directions = clips.of_patches(4)
    assert covered.shape == (40, 4, 49)
    for clip in range(40):
        there = clips.answers[clip].nonzero().flatten()
        assert set(names[clip][covered[clip]].tolist()) <= set(there.tolist())
        for name in there.tolist():
            ways = directions[clip][covered[clip] & (names[clip] == name)]
            assert (ways + 1 == clips.answers[clip, name]).all()
    ink = patches(clips.pixels, 4).float().mean(-1) / 255
    assert (ink[~covered] < 0.21).all()  # less than a tenth of each of the two
    assert (ink[covered] > 0.09).all()


def test_clips_are_the_same_for_the_same_seed() -> None:
    assert torch.equal(draw(DIGITS, 5, 4, 28, 7).pixels, draw(DIGITS, 5, 4, 28, 7).pixels)
    assert not torch.equal(draw(DIGITS, 5, 4, 28, 7).pixels, draw(DIGITS, 5, 4, 28, 8).pixels)


def test_example_clips_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    config = VideoConfig()
    write_examples(tmp_path, config)
    drawn = {frames.numpy().tobytes() for frames in draw(read_digits("test"), 20, 8, 30, TEST_SEED + 1).pixels}
    for name in ("clip_one", "clip_two"):
        frames, notes = read_clip(tmp_path / f"{name}.gif", config.frames, config.size)
        assert frames.tobytes() in drawn
        assert notes == ()
        for kind in ("gif", "json"):
            assert (tmp_path / f"{name}.{kind}").read_bytes() == (ASSETS / "clips" / f"{name}.{kind}").read_bytes()


def test_the_offset_of_the_votes_is_the_best_on_the_clips_given(monkeypatch: pytest.MonkeyPatch) -> None:
    module = VideoTransformer(CONFIG)
    clips = draw(DIGITS, 12, 3, 8, seed=2)
    logits = torch.nn.functional.one_hot(clips.answers, 9).float() * 3
    logits[..., 0] = 0
    logits[:, :, 1] += 0.6 * (clips.answers == 0)  # a digit too many in each clip, with little to say for it
    monkeypatch.setattr("model.training.moving_digits.answer", lambda *_: logits)
    before = module.vote_offset.item()
    assert calibrated(module, clips).vote_offset.item() == pytest.approx(before - 0.75)
    assert module.vote_offset.item() == before


def test_digits_are_varied_only_where_asked() -> None:
    plain, varied = draw(DIGITS, 30, 2, 30, seed=4), draw(DIGITS, 30, 2, 30, seed=4, varied=True)
    assert torch.equal(plain.answers, varied.answers)
    assert not torch.equal(plain.pixels, varied.pixels)
    area = varied.ink[:, 0].sum((2, 3)) / plain.ink[:, 0].sum((2, 3))
    assert 0.6 < area.min() < 0.95
    assert 1.05 < area.max() < 1.5


def test_accuracies_of_a_case_made_by_hand() -> None:
    answers = torch.zeros(4, 10, dtype=torch.int64)
    answers[0, 3] = 2
    answers[1, 3], answers[1, 5] = 2, 4
    answers[2, 7] = 8
    answers[3, 1], answers[3, 2] = 1, 1
    logits = torch.nn.functional.one_hot(answers, 9).float()
    assert set(accuracies(logits, answers).values()) == {100.0}
    logits[0, 9, 0], logits[0, 9, 6] = 0.0, 2.0  # one digit too many, with its own direction right
    logits[1, 5] = torch.eye(9)[3]  # the digit is there, the direction wrong
    logits[2, 7] = torch.tensor([2.0, 0, 0, 0, 0, 0, 0, 0, 1])  # the digit missed; its direction is the likeliest
    found = accuracies(logits, answers)
    assert found["digits"] == 50.0
    assert found["digits_one"] == 0.0
    assert found["digits_two"] == 100.0
    assert found["directions"] == 75.0
    assert found["directions_one"] == 100.0
    assert found["directions_two"] == 50.0


def test_attention_on_the_track_of_a_case_made_by_hand() -> None:
    track = torch.zeros(1, 4, 2, dtype=torch.bool)
    track[0, :2, 0] = True  # place 0 is covered in frames 0 and 1; place 1 never
    even = torch.full((1, 2, 1, 4, 4), 0.25)
    share, chance = on_track(even, track)
    assert share.tolist() == pytest.approx([1 / 3])  # of three other frames one is covered
    assert chance == pytest.approx(1 / 3)
    sharp = even.clone()
    sharp[0, 0, 0, 0] = torch.tensor([0.1, 0.7, 0.1, 0.1])  # from frame 0: 0.7 of 0.9
    sharp[0, 0, 0, 1] = torch.tensor([0.8, 0.2, 0.0, 0.0])  # from frame 1: all of 0.8
    assert on_track(sharp, track)[0].tolist() == pytest.approx([(7 / 9 + 1) / 2])


def test_the_parts_share_no_image() -> None:
    pytest.importorskip("sklearn")
    parts = {name: read_digits(name) for name in ("train", "validation", "test")}
    assert sum(len(part.names) for part in parts.values()) == 1797
    assert {name: len(part.names) for name, part in parts.items()} == {"train": 1528, "validation": 90, "test": 179}
    seen = {tuple(image.flatten().tolist()) for image in parts["train"].images}
    assert not seen & {tuple(image.flatten().tolist()) for image in parts["test"].images}
    recipe = MovingDigits(VideoConfig(), argparse.Namespace(seed=1, clips=2))
    batches = recipe.batches(0)
    assert len(batches) == 25
    assert [tuple(part.shape) for part in batches[0]] == [(2, 8, 30, 30), (2, 10), (2, 8, 25), (2, 8, 25)]
    assert torch.equal(recipe.batches(0)[3][0], batches[3][0])
    assert not torch.equal(recipe.batches(1)[3][0], batches[3][0])
    # Each part of the loss is there: a patch's name, its direction, the answer for the clip.
    torch.manual_seed(0)
    module = VideoTransformer(VideoConfig())
    recipe.loss(module, batches[0]).backward()
    for part in (module.patch_head.weight, module.vote_scale, module.embedding.weight):
        assert part.grad is not None
        assert part.grad.abs().max() > 0
