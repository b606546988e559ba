"""Letters of any script in handouts and images: shaped, in reading order, and never an empty box."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pypdf
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.text import Text
from PIL import Image

from viz.figures.theme import LIGHT
from viz.language.messages import isolate_rtl
from viz.saving import fonts as font_files
from viz.saving import handout
from viz.saving.still_image import still_image

CARD = [("Text", "السيارة الحمراء توقفت."), ("Link", "http://127.0.0.1:8501/")]
ARABIC, HEBREW, NOBODYS = "السيارة الحمراء توقفت.", "שלום עולם", "\U00016d40"  # the last: Kirat Rai, encoded in 2024


@pytest.fixture(autouse=True)
def only_matplotlibs_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a computer without any font of its own, whatever this one has."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    use(monkeypatch, own)


def use(monkeypatch: pytest.MonkeyPatch, fonts: list[font_manager.FontEntry]) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    for known in (font_files.font_entry, font_files._covered_letters, font_files.font_family):
        known.cache_clear()
    font_manager._get_font.cache_clear()


@pytest.fixture
def a_font_with_nobodys_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a font that draws the letter that DejaVu lacks as a square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate(((0, 0), (0, 700), (600, 700), (600, 0))):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "square"])
    made.setupCharacterMap({ord(NOBODYS): "square"})
    made.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    made.setupHorizontalMetrics({".notdef": (600, 0), "square": (600, 0)})
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    made.setupPost()
    file = tmp_path / "squares.ttf"
    made.save(file)
    entry = font_manager.FontEntry(str(file), name="Squares", style="normal", weight=400, stretch="normal")
    use(monkeypatch, [*font_manager.fontManager.ttflist, entry])
    return "Squares"


@pytest.fixture
def figure() -> go.Figure:
    sides = {"tickvals": [0, 1], "ticktext": [isolate_rtl("السيارة"), NOBODYS]}
    heat = go.Heatmap(z=np.eye(2, dtype=np.float32), colorscale=[[0, "#fff"], [1, "#000"]])
    return go.Figure(heat, {"xaxis": sides, "yaxis": sides, "title": {"text": isolate_rtl(ARABIC)}})


def printed(title: str, look: str, figure: go.Figure) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(handout.pdf(title, [(figure, look)], CARD, CARD[-1][1], LIGHT)))


def fonts_in(made: pypdf.PdfReader) -> dict[str, TTFont]:
    """The fonts inside a PDF, cut down to the glyphs that it uses."""
    found = {}
    for page in made.pages:
        for font in page["/Resources"]["/Font"].get_object().values():
            inner = font.get_object()["/DescendantFonts"][0].get_object()
            file = inner["/FontDescriptor"].get_object()["/FontFile2"].get_object()
            found[str(font.get_object()["/BaseFont"])] = TTFont(io.BytesIO(file.get_data()))
    return found


def outlines(font: TTFont, names: list[str]) -> set[tuple[tuple[int, int], ...]]:
    return {tuple(font["glyf"][name].getCoordinates(font["glyf"])[0]) for name in names}


def test_arabic_is_joined_and_runs_to_the_left(figure: go.Figure) -> None:
    made = printed(f"Heads: {isolate_rtl(ARABIC)}", f"**{HEBREW}**", figure)
    text = "\n".join(page.extract_text() for page in made.pages)
    for word in (*ARABIC.strip(".").split(), *HEBREW.split()):
        assert word in text
    bold = TTFont(font_files.font_entry(font_files.DEFAULT_FAMILY, 700).fname)
    printed_shapes = set().union(*(outlines(font, font.getGlyphOrder()) for font in fonts_in(made).values()))
    assert not outlines(bold, ["uniFED5", "uniFED1"]) & printed_shapes  # qaf and feh as they stand alone
    # Yeh and feh in the middle of a word, and qaf at the start of one.
    assert outlines(bold, ["uniFEF4", "uniFED4", "uniFED7"]) <= printed_shapes


def test_a_paragraph_from_right_to_left_begins_at_the_right(figure: go.Figure) -> None:
    places: list[tuple[str, float]] = []
    made = printed(ARABIC, "look", figure)
    made.pages[0].extract_text(visitor_text=lambda text, _, place, *rest: places.append((text, place[4])))
    starts = {text.strip(): at for text, at in places if text.strip()}
    left = min(starts.values())
    assert min(at for text, at in starts.items() if "السيارة" in text) > left + 100
    assert starts["look"] == pytest.approx(left, abs=1)


def test_letters_that_no_font_has_are_numbers_and_the_reader_is_told(figure: go.Figure) -> None:
    assert font_files.missing_letters(f"a{NOBODYS}b") == [NOBODYS]
    assert font_files.replace_missing_letters(f"a{NOBODYS}b{NOBODYS * 3}") == "a[U+16D40]b[U+16D40 U+16D40 U+16D40]"
    assert font_files.replace_missing_letters(NOBODYS * 3, most=2) == "[U+16D40 U+16D40 …]"
    text = printed("Heads", f"look at {NOBODYS}", figure).pages[0].extract_text()
    assert "look at [U+16D40]" in text
    assert "No font" in text
    assert NOBODYS not in text
    assert "No font" not in printed("Heads", "look", go.Figure(figure.data)).pages[0].extract_text()


def test_a_font_of_this_computer_is_used_where_it_has_the_letter(
    figure: go.Figure, a_font_with_nobodys_letter: str
) -> None:
    assert font_files.font_families([NOBODYS, "a"]) == [font_files.DEFAULT_FAMILY, a_font_with_nobodys_letter]
    made = printed("Heads", f"look at {NOBODYS}", figure)
    assert f"look at {NOBODYS}" in made.pages[0].extract_text()
    assert any(a_font_with_nobodys_letter in name for name in fonts_in(made))


def test_no_empty_box_is_drawn(figure: go.Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    real = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: (drawn.append(text.get_text()), real(text, renderer))[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each glyph that is missing
        picture = still_image(figure, "#fff", "png")
    assert Image.open(io.BytesIO(picture)).width > 1000
    seen = "".join(drawn)
    assert "السيارة" in seen
    assert "[U+16D40]" in seen
    font = set(TTFont(font_files.font_entry(font_files.DEFAULT_FAMILY).fname).getBestCmap())
    assert not {letter for letter in seen if ord(letter) not in font and not font_files.is_invisible(letter)}
