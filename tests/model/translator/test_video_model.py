"""The from-scratch video model as an opened model: `model.load` of a folder, both attentions, verification, clips."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import model
from model.arrays.torch_to_numpy import to_numpy
from model.errors import InputError, ModelError
from model.structures.clip_files import read_clip
from model.trace.check import Probe
from model.trace.edits import Edits
from model.translator.video.divided_attention import VideoConfig, VideoTransformer
from model.translator.video.video_model import VideoModel
from model.verification.references.video_reference import run_reference

CONFIG = VideoConfig(frames=4, size=12, patch=4, margin=2, d_model=16, num_heads=4, layers=3, d_ff=32)
PLACES = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small model, saved as its recipe saves it."""
    torch.manual_seed(5)
    place = tmp_path_factory.mktemp("video")
    VideoTransformer(CONFIG).save(place)
    return place


@pytest.fixture(scope="module")
def video(folder: Path) -> VideoModel:
    opened = model.load(str(folder), device="cpu")
    assert isinstance(opened, VideoModel)
    return opened


def clip(frames: int = 4, size: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, size, size), dtype=np.uint8)


def moving(frames: list[np.ndarray], kind: str = "GIF") -> bytes:
    pictures = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:], duration=100)
    return file.getvalue()


def test_space_and_time_are_two_kinds_and_look_only_within_theirs(video: VideoModel) -> None:
    trace = video.trace(clip())
    assert video.takes == "video"
    assert list(trace.attentions) == ["time", "space"] == list(video.heads)
    count = 4 * PLACES
    assert trace.attentions["time"].query_tokens[PLACES + 5] == "1:1,2"
    number = np.arange(count)
    own = {"time": number % PLACES, "space": number // PLACES}
    for kind, attention in trace.attentions.items():
        allowed = own[kind][:, None] == own[kind]
        assert attention.num_layers == 3
        for layer in range(3):
            weights = attention.weights(layer)
            assert weights.shape == (4, count, count)
            np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
            assert (attention.mask(layer) == allowed).all()
            assert (weights[:, ~allowed] == 0).all()
            assert (weights[:, allowed] > 0).all()
    assert trace.hidden_states["encoder"].shape == (4, count, 16)
    assert trace.neurons["encoder"].shape == (3, count, 32)


def test_traced_as_trained(video: VideoModel) -> None:
    """The traced pass attends under masks, the trained one within frames and places: the same numbers."""
    pixels = torch.from_numpy(np.stack([clip(seed=1), clip(seed=2)]))
    with torch.no_grad():
        expected = video.module(pixels)
    for row, trace in enumerate(video.trace_batch([clip(seed=1), clip(seed=2)], [None, None])):
        assert trace.logits is not None
        np.testing.assert_allclose(trace.logits, expected[row], atol=1e-5)


def test_one_bright_patch_proves_the_order_of_patches_and_frames(video: VideoModel) -> None:
    for token in (0, 4, PLACES + 5, 3 * PLACES + 7):
        frame, place = divmod(token, PLACES)
        frames = np.zeros((4, 12, 12), dtype=np.uint8)
        row, column = divmod(place, 3)
        frames[frame, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
        lit = video.trace(frames)
        dark = video.trace(np.zeros_like(frames))
        changed = np.abs(lit.hidden_states["encoder"][0] - dark.hidden_states["encoder"][0]).max(-1)
        # A patch sees two pixels around itself, so its neighbours in the same frame see something of it.
        near = [
            PLACES * frame + 3 * r + c for r in range(3) for c in range(3) if max(abs(r - row), abs(c - column)) < 2
        ]
        assert np.flatnonzero(changed > 1e-6).tolist() == near
        assert lit.picture is not None
        picture, side = lit.picture, 4
        row, column = divmod(token, picture.columns)
        seen = picture.pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert seen.max() == 255
        assert picture.pixels.sum() == seen.sum()
        assert lit.attentions["time"].query_tokens[token] == f"{frame}:{place // 3},{place % 3}"


def test_verification_holds_with_and_without_edits_and_can_fail(video: VideoModel) -> None:
    edits = model.Edits(
        heads={("time", 1, 2): 0.0, ("space", 0, 1): 3.0}, temperature={"time": 2.0},
        blocked={("space", 3, 1), ("time", None, 10)}, uniform={("time", 2, 3)}, positions="shuffled",
    )  # fmt: skip
    plain = video.trace(clip())
    for changes in (None, edits):
        trace = video.trace(clip(), edits=changes)
        check = trace.verify()
        assert check.ok, check
        assert 0 < check.max_logit_error < 1e-4
    assert trace.logits is not None
    assert plain.logits is not None
    assert np.abs(trace.logits - plain.logits).max() > 1e-3
    assert trace.attentions["time"].weights(0)[:, :, 10].max() == 0
    weight = video.module.layers[1].space_attention.w_v.weight.data
    before = weight.clone()
    try:
        weight *= 1.05
        assert not plain.verify().ok
    finally:
        weight.copy_(before)


def test_the_check_names_each_part_that_is_wrong(video: VideoModel) -> None:
    trace = video.trace(clip())
    check = trace.verify()
    parts = {part.name for part in check.parts}
    assert {"queries", "keys", "values", "scores", "states", "neurons", "logits", "labels", "words"} <= parts
    assert trace.classes is not None

    def wrong(**fields: Any) -> list[str]:
        return [part.name for part in replace(trace, **fields).verify().wrong_parts]

    assert wrong(neurons={"encoder": trace.neurons["encoder"][::-1]}) == ["neurons"]
    assert wrong(hidden_states={"encoder": trace.hidden_states["encoder"][::-1]}) == ["states"]
    names = [name for name, _ in trace.classes]
    renamed = [(f"{name}x", chance) for name, (_, chance) in zip(names, trace.classes, strict=True)]
    assert wrong(classes=renamed) == ["words"]
    tokens = trace.tokens["encoder"]
    assert "labels" in wrong(tokens={"encoder": replace(tokens, texts=tokens.texts[::-1])})
    effects, in_bits = video.head_effects(clip())
    assert trace.verify_probe(Probe(effects=effects, in_bits=in_bits)).verdict == "proved"
    broken = Probe(effects={kind: one * 1.1 for kind, one in effects.items()}, in_bits=in_bits)
    assert [part.name for part in trace.verify_probe(broken).wrong_parts] == ["effects"]


def test_the_reference_shares_nothing_with_the_formula(video: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.from_numpy(clip()[None])
    expected = run_reference(video.module, pixels).logits
    monkeypatch.setattr("model.translator.transformer.attention", None)
    with pytest.raises(TypeError):
        video.module(pixels)
    torch.testing.assert_close(run_reference(video.module, pixels).logits, expected)


def test_the_answer_names_digits_and_directions(video: VideoModel) -> None:
    trace = video.trace(clip())
    assert trace.logits is not None
    assert trace.classes is not None
    assert len(trace.classes) == 10
    label, chance = trace.classes[0]
    digit, direction = label.split(" ", 1)
    scores = np.exp(trace.logits[int(digit)])
    assert chance == pytest.approx(1 - scores[0] / scores.sum(), abs=1e-5)
    assert direction == video.labels([1 + int(trace.logits[int(digit), 1:].argmax())])[0]
    assert trace.output is not None
    assert label in trace.output


def test_probes_have_their_shapes(video: VideoModel) -> None:
    effects, _ = video.head_effects(clip())
    assert {kind: one.shape for kind, one in effects.items()} == {"time": (3, 4), "space": (3, 4)}
    assert min(one.min() for one in effects.values()) > 0
    assert video.logit_lens(clip()) is None
    assert hasattr(video.trace(clip()).multi_head("space", 1), "inputs")
    table = video.positions().table
    assert table is not None
    assert table.shape == (4 * PLACES, 16)


def test_the_table_of_positions_is_compared_with_what_the_model_adds(
    video: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = video.positions().error
    assert error is not None
    assert error < 1e-5
    embed = video.module.embed
    monkeypatch.setattr(video.module, "embed", lambda pixels: embed(pixels).roll(1, dims=2))
    shifted = video.positions().error
    assert shifted is not None
    assert shifted > 0.1


def test_a_file_is_read_as_its_frames_are(video: VideoModel) -> None:
    frames = [np.full((12, 12), value, dtype=np.uint8) for value in (0, 80, 160, 240)]
    read, notes = read_clip(moving(frames), 4, 12)
    assert [int(frame.mean()) for frame in read] == [0, 80, 160, 240]
    assert notes == ()
    trace = video.trace(moving(frames))
    np.testing.assert_allclose(trace.logits, video.trace(np.stack(frames)).logits, atol=1e-6)


def test_of_a_longer_clip_frames_are_taken_evenly_and_this_is_said() -> None:
    frames = [np.full((20, 30), 20 * i, dtype=np.uint8) for i in range(10)]
    read, notes = read_clip(moving(frames), 4, 12)
    assert read.shape == (4, 12, 12)
    assert [int(frame.mean()) for frame in read] == [0, 60, 120, 180]
    assert notes == (("clip_sampled", "4/10"),)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (moving([clip(1, 40, seed)[0] for seed in range(6)])[:3000], "clip_broken"),
        (b"no picture at all", "clip_none"),
        ("nowhere.gif", "clip_missing"),
        (b"0" * 20_000_001, "clip_heavy"),
        (np.zeros((3, 12, 12), dtype=np.uint8), "clip_short"),
        (np.zeros((4, 12, 12)), "clip_none"),
        (moving([np.zeros((12, 12), dtype=np.uint8)] * 2), "clip_short"),
        (moving([np.zeros((8, 8), dtype=np.uint8) + i % 2 for i in range(1002)]), "clip_large"),
    ],
)  # fmt: skip
def test_what_is_no_clip_gets_a_sentence(video: VideoModel, source: bytes | str | np.ndarray, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        video.trace(source)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("old", "new"), [('"frames": 4', '"frames": 9999999'), ('"patch": 4', '"patch": 0'),
                                          ('"margin": 2', '"margin": -1'), ('"size": 12', '"size": 13')])  # fmt: skip
def test_a_damaged_configuration_is_refused(folder: Path, tmp_path: Path, old: str, new: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text((folder / "config.json").read_text().replace(old, new))
    with pytest.raises(ModelError):
        model.load(str(tmp_path), device="cpu")


def test_its_boxes_add_up_and_each_can_be_left_out(video: VideoModel) -> None:
    torch.manual_seed(7)
    for name, parameter in video.module.named_parameters():
        if "norm" in name:  # gains and shifts that do something
            torch.nn.init.normal_(parameter.data, 0.5)
    plain = video.trace(clip())
    found = plain.blocks("encoder")
    assert [block.kind for block in found.layers[2]] == ["time_attention", "space_attention", "feed_forward"]
    assert [block.attention for block in found.layers[2]] == [("time", 2), ("space", 2), None]
    assert found.error < 1e-5
    np.testing.assert_allclose(found.positions, to_numpy(video.module.positions(4)), atol=1e-6)
    np.testing.assert_array_equal(found.states, plain.hidden_states["encoder"])
    for index, kind in enumerate(video.boxes()["encoder"][1]):
        edits = Edits(blocks={("encoder", 1, kind)})
        edited = video.trace(clip(), edits=edits)
        assert edited.verify().ok
        assert edited.blocks("encoder").error < 1e-5
        assert not replace(plain, edits=edits, run_check=edited.run_check).verify().ok
        if index < 3:
            assert not edited.blocks("encoder").layers[1].blocks[index].adds.any()
    assert index == 8  # with a norm and its gain for each of the three
