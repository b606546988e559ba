"""Reading a sound file for a model of speech: one channel at the model's rate. PyAV decodes; plain WAV needs none."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.structures.file_content import BROKEN, file_content
from model.structures.media import container_of, minutes, opened_media

FORMATS = ("WAV", "MP3", "FLAC", "OGG", "M4A")
SILENT = 1e-4  # the loudest number of a sound in which nothing can be heard; 1 is the loudest of all
LOUDEST = 100.0  # more than any recording holds
SHORTEST = 0.1  # seconds
UNKNOWN_SIZE = 2**31 - 64  # bytes of a WAV file that does not say how long it is
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 1_000, 400_000, 64
CONTAINERS = (
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
)
SoundSource = str | Path | bytes


def read_sound(source: SoundSource, rate: int, most: float) -> Array:
    """A sound as a model reads it, between -1 and 1, its channels mixed to one. float32 [sample]

    Args:
        source: the path or the bytes of a file.
        rate: samples a second that the model reads; most: seconds that it reads.

    Raises:
        InputError: it is no sound, cannot be read, has more bytes than are read, or is too long, too short or silent;
            or PyAV is missing.
    """
    content = file_content(source, "sound")
    try:
        samples, own_rate = _wave_samples(content, most) if _is_wave(content) else _decoded(content, most)
    except InputError:
        raise
    except (*BROKEN, wave.Error, MemoryError) as error:
        raise InputError("sound_broken", "The sound cannot be read to its end.") from error
    if not (np.abs(samples) <= LOUDEST).all():  # also where they are no numbers
        raise InputError("sound_broken", "The sound holds numbers that no sound has.")
    _check_length(len(samples) / own_rate, most)
    if len(samples) < SHORTEST * own_rate:
        raise InputError("sound_short", f"The sound is shorter than {SHORTEST} seconds.", allowed=str(SHORTEST))
    if np.abs(samples).max() < SILENT:
        raise InputError("sound_silent", "The sound is silent.")
    return resampled(samples, own_rate, rate)


def resampled(samples: Array, own_rate: int, rate: int) -> Array:
    """A sound at another rate: the same waves, without those that are too quick for it. float32 [sample]"""
    count = round(len(samples) * rate / own_rate)
    if own_rate == rate or not count:
        return samples.astype(np.float32)
    waves = np.fft.rfft(samples.astype(np.float64))
    found = np.fft.irfft(waves[: count // 2 + 1], count) * (count / len(samples))
    return np.asarray(found.clip(-1, 1), np.float32)


def _check_length(seconds: float, most: float) -> None:
    if seconds > most:
        said = minutes(seconds)
        message = f"The sound takes {said} minutes; at most {most:.0f} seconds are read: cut out a piece."
        raise InputError("sound_long", message, time=said, allowed=f"{most:.0f}")


def _is_wave(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WAVE"


def _wave_samples(content: bytes, most: float) -> tuple[Array, int]:
    """The samples of a WAV file with whole numbers, and its rate; of other kinds of WAV, as PyAV decodes them."""
    try:
        with wave.open(io.BytesIO(content)) as opened:
            rate, width, channels = opened.getframerate(), opened.getsampwidth(), opened.getnchannels()
            _check_kind(rate, channels)
            count = opened.getnframes()
            if count * width * channels < UNKNOWN_SIZE and width <= 4:
                _check_length(count / rate, most)
                data = opened.readframes(count)
                if len(data) < count * width * channels:
                    raise InputError("sound_broken", "The sound is cut off.")
            else:  # written before its length was known, or of numbers that are no samples
                return _decoded(content, most)
    except (wave.Error, EOFError, RuntimeError):  # floating-point or compressed, or with parts longer than the file
        return _decoded(content, most)
    whole = np.frombuffer(data[: len(data) // (width * channels) * width * channels], np.uint8).reshape(-1, width)
    if width == 1:
        levels = (whole[:, 0].astype(np.float32) - 128) / 128
    else:  # the highest bytes of 32
        padded = np.zeros((len(whole), 4), np.uint8)
        padded[:, 4 - width :] = whole
        levels = (padded.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return levels.reshape(-1, channels).mean(axis=1), rate


def _check_kind(rate: int, channels: int) -> None:
    if not (LOWEST_RATE <= rate <= HIGHEST_RATE and 1 <= channels <= MOST_CHANNELS):
        raise InputError("sound_broken", f"The sound has {channels} channels at {rate} samples a second.")


def _container_of(content: bytes) -> str:
    """FFmpeg's name of a sound's container, by the file's first bytes.

    Raises:
        InputError: it is none that is read.
    """
    if _is_wave(content):
        return "wav"
    if content[:1] == b"\xff" and len(content) > 1 and content[1] & 0xE0 == 0xE0:  # an MP3 without a heading
        return "mp3"
    found = container_of(content, CONTAINERS)
    if found is None:
        raise InputError("sound_none", f"This is no sound: give one of {', '.join(FORMATS)}.")
    return found


def _decoded(content: bytes, most: float) -> tuple[Array, int]:
    """The samples of a file that PyAV decodes, and its rate."""
    with opened_media(content, _container_of(content), "sound", "sound") as (av, opened):
        if not opened.streams.audio:
            raise InputError("sound_none", "This file has a picture, and no sound.")
        stream = opened.streams.audio[0]
        rate = int(stream.codec_context.sample_rate or 0)
        _check_kind(rate, int(stream.codec_context.channels or 0))
        if opened.duration:
            _check_length(opened.duration / 1e6 - 0.1, most)  # MP3 tells a little more than it holds
        parts = list(_parts(av, opened, stream, round((most + 1) * rate)))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), rate


def _parts(av: Any, opened: Any, stream: Any, most: int) -> Iterator[Array]:
    """The mixed samples of a stream, part by part, until there are more than `most`. float32 [sample] each"""
    converter = av.AudioResampler(format="fltp")  # the same rate and channels, as floating-point numbers
    count = 0
    for frame in opened.decode(stream):
        for part in converter.resample(frame):
            mixed: Array = part.to_ndarray().mean(axis=0)
            yield mixed
            count += len(mixed)
        if count > most:
            return
