"""Bare surroundings: a disk that takes nothing, a checkout that cannot be written to, a user without a home, a computer
without fonts. Each ends well. Two servers that fetch one model: tests/model/catalog/downloads/.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib import font_manager
from PIL import Image

from tests.hostile.surroundings import PAGES
from tests.model.catalog.gguf_files import small_llama, write_model
from viz.figures.theme import LIGHT
from viz.saving import fonts, handout
from viz.saving.still_image import still_image

FULL = ("The disk is full", "The disk of this server is full", "cannot be written to", "are free")


@pytest.mark.parametrize("how", ["full", "no home, and a sealed checkout"])
def test_pages_and_what_is_saved_of_them_need_no_disk_and_no_home(tmp_path: Path, how: str) -> None:
    write_model(tmp_path / "model.gguf", small_llama())
    (tmp_path / "fetched.bin").write_bytes(b"x" * 300_000)
    (tmp_path / "home").mkdir()
    settings = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    settings["HEADLIGHT_HOME"] = str(tmp_path / "models")
    if how == "full":
        settings["HOME"] = str(tmp_path / "home")
    command = [sys.executable, "-m", "tests.hostile.surroundings", str(tmp_path), "full" if how == "full" else "sealed"]
    lines = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    found = {one["tried"]: one for one in map(json.loads, lines) if "tried" in one}
    assert [found[name]["ended"] for name in PAGES] == ["done"] * len(PAGES), found
    assert found["download"]["ended"] == "refused"  # where there is room, the file is another one than was said
    if how == "full":
        assert [found[name]["ended"] for name in ("gguf", "library")] == ["refused"] * 2, found
        for name in ("download", "gguf", "library"):
            assert found[name]["said"].startswith(FULL[:2]), found[name]
            assert str(tmp_path) not in found[name]["said"]
    else:
        assert found["checkout"]["ended"] == "refused"
        assert found["gguf"]["ended"] in ("done", "refused"), found  # what reads such files may be missing
        assert found["library"]["ended"] in ("done", "refused"), found


@pytest.mark.parametrize("how", ["none", "gone"])
def test_pictures_and_handouts_need_no_fonts_of_the_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    own = [one for one in font_manager.fontManager.ttflist if one.name == fonts.DEFAULT_FAMILY]
    gone = font_manager.FontEntry(
        str(tmp_path / "gone.ttf"), name="Noto Sans CJK SC", style="normal", weight=400, stretch="normal"
    )
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own if how == "none" else [*own, gone])
    for cached in (fonts.font_entry, fonts._covered_letters, fonts.font_family):
        cached.cache_clear()
    title = "日本 ß العربية 😀"
    figure = go.Figure(go.Heatmap(z=np.eye(2, dtype=np.float32), colorscale=[[0, "#fff"], [1, "#000"]]))
    figure.layout.title.text = title
    try:
        assert Image.open(io.BytesIO(still_image(figure, LIGHT.page, "png"))).width > 1000
        assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")
        assert handout.pdf(title, [(figure, title)], [("a", title)], title, LIGHT).startswith(b"%PDF")
        assert fonts.font_family("日") is None
    finally:
        for cached in (fonts.font_entry, fonts._covered_letters, fonts.font_family):
            cached.cache_clear()
