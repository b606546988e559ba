"""GGUF files whose headers lie: each is refused with a sentence before anything is allocated for it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.hostile.folders import check_refusal, refusal
from tests.model.catalog.gguf_files import small_llama, write_model


def header(tensors: int = 0, entries: int = 0, body: bytes = b"", version: int = 3) -> bytes:
    """The bytes of a header with these counts."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + body


def text(content: bytes, claimed: int | None = None) -> bytes:
    """A text as the format writes it. claimed: its length as the file says it"""
    return struct.pack("<Q", len(content) if claimed is None else claimed) + content


HUGE = 2**62
TENSOR = text(b"output.weight") + struct.pack("<I", 2)
CASES = {
    "no header": b"MZ" + b"\0" * 100,
    "empty": b"",
    "cut off": header()[:12],
    "other version": header(version=99),
    "many tensors": header(tensors=HUGE),
    "many entries": header(entries=HUGE),
    "long text": header(entries=1, body=text(b"a", HUGE)),
    "text behind the end": header(entries=1, body=text(b"a", 10_000)),
    "long list": header(entries=1, body=text(b"a") + struct.pack("<IIQ", 9, 8, HUGE)),
    "list in a list": header(entries=1, body=text(b"a") + struct.pack("<IIQ", 9, 9, 1)),
    "unknown kind": header(entries=1, body=text(b"a") + struct.pack("<I", 77)),
    "many dimensions": header(tensors=1, body=text(b"a") + struct.pack("<I", HUGE % 2**31)),
    "large tensor": header(tensors=1, body=TENSOR + struct.pack("<QQIQ", 2**31, 2**31, 0, 0)),
    "tensor behind the end": header(tensors=1, body=TENSOR + struct.pack("<QQIQ", 2, 2, 0, HUGE)),
}


@pytest.mark.parametrize("content", CASES.values(), ids=CASES)
@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_lying_header_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "inside" / "model.gguf"
    file.parent.mkdir()
    file.write_bytes(content)
    said = str(refusal(file if named == "file" else file.parent))
    assert "model.gguf" in said
    check_refusal(file.parent)


@pytest.mark.parametrize("size", ["block_count", "embedding_length", "head_count", "vocab_size"])
def test_sizes_that_the_settings_of_a_file_claim_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "home"))
    file = tmp_path / "inside" / "model.gguf"
    file.parent.mkdir()
    write_model(file, small_llama(), **{size: 2**31})
    refusal(file)
    assert not [one for one in (tmp_path / "home").rglob("*") if one.is_file()]


@pytest.mark.parametrize("kind", ["pipe", "out"])
def test_what_is_no_file_of_the_folder_is_not_read(tmp_path: Path, kind: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    if kind == "pipe":
        os.mkfifo(inside / "model.gguf")
    else:
        write_model(tmp_path / "there.gguf", small_llama())
        (inside / "model.gguf").symlink_to(tmp_path / "there.gguf")
    assert "model.gguf" in str(refusal(inside))
    check_refusal(inside)
