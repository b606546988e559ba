"""Hostile sounds and films: each is read soon or gets a reason, whatever its header says."""

from __future__ import annotations

import re
import resource
import struct
import time

import numpy as np
import pytest

from model.errors import InputError
from model.huggingface.sound.sound_files import read_sound
from model.structures.clip_files import read_clip

READ = "read"
UNREADABLE = re.compile(r"Error\b|Errno|NoneType|shape|broadcast|/")


def wav(
    kind: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    data: bytes = b"\0\1" * 16_000,
    claimed: int | None = None,
    before: bytes = b"",
) -> bytes:
    """A WAV file. kind: of its numbers, 1 for whole ones; claimed: its length as it says; before: parts before these"""
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * width % 2**32, width % 2**16, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before
    body += b"data" + struct.pack("<I", len(data) if claimed is None else claimed) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def floats(value: float) -> bytes:
    return wav(3, bits=32, data=struct.pack("<f", value) * 16_000)


def box(name: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    """A part of an MP4 file. size: as it says, the true one by default"""
    return struct.pack(">I", 8 + len(content) if size is None else size) + name + content


SOUNDS: dict[str, tuple[bytes, str]] = {
    "no channels": (wav(channels=0), "sound_broken"),
    "65,535 channels": (wav(channels=65_535), "sound_broken"),
    "no rate": (wav(rate=0), "sound_broken"),
    "samples of no bits": (wav(bits=0), "sound_broken"),
    "samples of 64 bits": (wav(bits=64), READ),
    "no numbers": (floats(float("nan")), "sound_broken"),
    "infinite": (floats(float("inf")), "sound_broken"),
    "numbers that no sound has": (floats(3e38), "sound_broken"),
    "more than there is": (wav(claimed=2**32 - 1), READ),
    "a part of 4 GB": (wav(before=b"LIST" + struct.pack("<I", 2**32 - 16)), "sound_broken"),
    "half a sample": (wav(data=b"\0\1\0"), "sound_short"),
    "nothing": (wav(data=b""), "sound_short"),
    "20 MB of beginnings": (b"\xff\xfb\x90\x00" * 4_900_000, "sound_long"),
    "a heading of 256 MB": (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000), "sound_broken"),
    "a million samples a second": (b"fLaC\x80\0\0\x22" + b"\xff" * 34 + b"\xff\xf8" * 1000, "sound_broken"),
    "notes of 16 MB": (b"fLaC\x04\xff\xff\xff" + bytes(5000), "sound_broken"),
    "pages of nothing": (b"OggS" + bytes(100_000), "sound_broken"),
    "parts within parts": (
        box(b"ftyp", b"M4A ") + b"".join(struct.pack(">I", 100_000 - 8 * i) + b"moov" for i in range(10_000)),
        "sound_broken",
    ),
    "a part of 2 GB": (box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", bytes(100), 2**31 - 1), "sound_none"),
    "without end": (
        b"\x1a\x45\xdf\xa3\x9f" + b"\x42\x86\x81\x01" * 5 + b"\x18\x53\x80\x67\x01" + b"\xff" * 7,
        "sound_broken",
    ),
    "a list of other files": (b"#EXTM3U\nfile:///etc/passwd\n", "sound_none"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_hostile_sound_is_read_soon_or_gets_a_reason(name: str) -> None:
    pytest.importorskip("av")
    content, reason = SOUNDS[name]
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if reason == READ:
        assert np.isfinite(read_sound(content, 16_000, 30)).all()
    else:
        check_reason(reason, lambda: read_sound(content, 16_000, 30))
    assert time.process_time() - begun < 5
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 500_000_000


@pytest.mark.parametrize("name", ["parts within parts", "without end", "a part of 2 GB", "a list of other files"])
def test_a_hostile_film_gets_a_reason(name: str) -> None:
    pytest.importorskip("av")
    content = SOUNDS[name][0]
    check_reason("clip_", lambda: read_clip(content, 16, 32))


def check_reason(reason: str, read: object) -> None:
    assert callable(read)
    with pytest.raises(InputError) as caught:
        read()
    assert caught.value.reason.startswith(reason)
    assert str(caught.value).endswith(".")
    assert not UNREADABLE.search(str(caught.value))
