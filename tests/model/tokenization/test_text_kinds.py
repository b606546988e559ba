"""What most of a text is, on what people type, and on what only looks like it."""

from __future__ import annotations

import time

import pytest

from model.tokenization.text_kinds import text_kind

CODE_LINES = (
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len("
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EVQLVESGGGLVQPGGSLRLSCAASGFTF", "protein"),
        (">1ABC chain A\nEVQLVESGGGLVQ\nPGGSLRLSCAASGFTF\n", "protein"),
        ("CC(=O)O.OCC>>CC(=O)OCC", "reaction"),
        ("c1ccccc1[N+](=O)[O-]", "reaction"),
        (CODE_LINES, "code"),
        ("import os\nprint(os.getcwd())", "code"),
        ("x = [1, 2, 3]", "code"),
        ("The red car stopped.", "language"),
        ("HELLO WORLD THIS IS LOUD", "language"),
        ("STOP", "language"),
        ("from here to there", "language"),
        ("for a while, return to sender", "language"),
        ("import duties rose in 2024", "language"),
        ("Is 2 + 2 = 4? He said so (twice).\nI think it is.", "language"),
        ("CONCISION", "language"),
        ("日本語のテキスト", "language"),
        ("", "language"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert text_kind(text) == kind


@pytest.mark.parametrize("text", ["C" * 50_000 + "!", "a.b[" * 10_000, "x, " * 20_000, "(" * 50_000, "if " * 20_000])
def test_no_text_takes_long(text: str) -> None:
    start = time.thread_time()
    text_kind(text)
    assert time.thread_time() - start < 5  # seconds of the processor, which others may be using
