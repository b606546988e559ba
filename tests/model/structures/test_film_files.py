"""Films that the test itself encodes: frames evenly from first to last, and a sentence for those that are not read."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from model.structures import film_files, media
from model.structures.clip_files import read_clip

HEADER = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00"


@pytest.fixture
def av() -> Any:
    return pytest.importorskip("av", reason="av is not installed: see requirements-apps.txt")


def film(
    av: Any, frames: list[np.ndarray], codec: str = "mpeg4", container: str = "mp4", rate: Fraction = Fraction(25)
) -> bytes:
    """A film of grey frames."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as made:
        stream = made.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt, stream.gop_size = "yuv420p", 7
        stream.bit_rate = 2_000_000
        for frame in frames:
            made.mux(stream.encode(av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, -1), format="rgb24")))
        made.mux(stream.encode(None))
    return file.getvalue()


def brighter(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    return [np.full((height, width), 4 * i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(
    ("codec", "container"), [("mpeg4", "mp4"), ("libx264", "mp4"), ("libx264", "matroska"), ("mpeg4", "avi")]
)
def test_frames_are_taken_evenly_in_the_order_of_time(av: Any, codec: str, container: str) -> None:
    read, notes = read_clip(film(av, brighter(40), codec, container), 5, 16)
    assert read.shape == (5, 16, 16)
    assert [round(float(frame.mean()) / 4) for frame in read] == pytest.approx([0, 10, 20, 29, 39], abs=1)
    assert notes == (("clip_sampled", "5/40"),)


def test_every_frame_of_a_short_film_is_read_and_stands_upright(av: Any) -> None:
    frames = brighter(8)
    for frame in frames:
        frame[:8] = 255  # bright above
    read, notes = read_clip(film(av, frames), 8, 32)
    assert notes == ()
    assert read[0, :6].mean() > 200 > 40 > read[0, 12:].mean()


def test_a_film_that_is_not_read_gets_a_sentence(av: Any) -> None:
    def reason(content: bytes) -> InputError:
        with pytest.raises(InputError) as caught:
            read_clip(content, 4, 16)
        return caught.value

    slow = reason(film(av, brighter(60), rate=Fraction(1, 61)))
    assert (slow.reason, slow.values["time"]) == ("clip_long", "59:59")
    assert reason(film(av, brighter(3))).reason == "clip_short"
    assert reason(film(av, brighter(4, 2048, 2064))).reason == "clip_large"
    whole = film(av, brighter(40))
    assert reason(whole[: len(whole) // 2]).reason == "clip_broken"  # its end, which says where all is, is cut off
    assert reason(whole[: len(whole) // 3]).reason == "clip_broken"
    assert reason(HEADER + b"junk" * 50).reason == "clip_broken"
    sound = io.BytesIO()
    with av.open(sound, "w", format="mp4") as made:
        stream = made.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        made.mux(stream.encode(silence))
        made.mux(stream.encode(None))
    assert reason(sound.getvalue()).reason == "clip_none"


def test_a_film_of_one_key_frame_is_not_decoded_without_end(av: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = film(av, brighter(40))
    monkeypatch.setattr(film_files, "MAX_DECODED", 32 * 48 * 5)
    assert read_clip(content, 2, 16)[0].shape == (2, 16, 16)
    with pytest.raises(InputError, match="0:01 minutes") as caught:
        read_clip(content, 9, 16)
    assert caught.value.reason == "clip_long"


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="requirements-apps") as caught:
        read_clip(HEADER, 4, 16)
    assert caught.value.reason == "clip_library"
    assert media.container_of(b"GIF89a", film_files.CONTAINERS) is None
