"""The tokens of an encoder that hears: the moments of a sound, and the silence that it is filled up with."""

from __future__ import annotations

from model.trace.tokens import Sound, Tokens


def label_moments(sound: Sound, moments: int) -> Tokens:
    """Tokens of what an encoder reads: the moments of a sound, and of the silence behind it, which are one word.

    Args:
        moments: that the model reads.
    """
    heard, labels = len(sound.loudness), tuple(map(sound.label, range(moments)))
    silence = moments - heard
    special = (False,) * heard + (True,) * silence
    inside = (False,) * (heard + 1) + (True,) * (silence - 1)
    whole = (f"{heard * sound.step:.2f}–{moments * sound.step:.2f} s",) + ("",) * (silence - 1)
    return Tokens(labels, special, inside[:moments], word_parts=(*labels[:heard], *whole[:silence]))


def filling(sound: Sound, moments: int) -> tuple[tuple[str, str], ...]:
    """A note on the silence that a sound is filled up with; none where it fills all moments."""
    heard = len(sound.loudness)
    said = f"{heard * sound.step:.1f}/{moments * sound.step:.0f}"
    return (("sound_filled", said),) if heard < moments else ()
