"""Figures of a page as one HTML file that needs no network, and as a PDF handout, with the facts to reproduce them."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from fpdf import FPDF
from fpdf.bidi import auto_detect_base_direction
from fpdf.enums import MethodReturnValue, TextDirection
from plotly.offline import get_plotlyjs

from viz.figures.theme import Palette
from viz.language.messages import say
from viz.saving import fonts
from viz.saving.qr_code import qr_code
from viz.saving.still_image import figure_texts, still_image
from viz.saving.still_page import still_caption

CODE = 40  # mm of a side of the QR code
STATIC = Path(__file__).parents[2] / "static"
CaptionedFigure = tuple[go.Figure, str]  # a figure and its caption as Markdown
Facts = Sequence[tuple[str, str]]  # name and value of what a reader needs to get the same numbers


def markdown_to_text(markdown: str) -> str:
    """Plain text of a Markdown caption of the interface."""
    marks = r"\\([^\w\s])|:[a-z]+\[(.*?)\]|:material/\w+:|\*\*|`"
    return re.sub(marks, lambda mark: mark[1] or mark[2] or "", markdown).replace("\u2060", "").strip()


def html_page(
    title: str, captioned: Sequence[CaptionedFigure], facts: Facts, palette: Palette, language: str, reading: str = ""
) -> str:
    """HTML page with interactive figures in one file, which loads nothing from a network.

    Args:
        title: of the page.
        captioned: figures with their captions.
        facts: what a reader needs to get the same numbers.
        palette: colours of the page.
        language: code of the page's language.
        reading: a sentence under the title: what the page says in words.
    """
    figures = []
    for figure, caption in captioned:
        # Plotly's logo is a link: the file must have none to a network, as it may be opened years later.
        plot = figure.to_html(include_plotlyjs=False, full_html=False, config={"displaylogo": False})
        figures.append(
            f"<figure>{plot}<figcaption>{html.escape(markdown_to_text(still_caption(caption)))}</figcaption></figure>"
        )
    rows = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in facts]
    return Template(Path(__file__).with_name("live_page.html").read_text(encoding="utf-8")).substitute(
        language=language,
        title=html.escape(title),
        reading=html.escape(reading),
        font=base64.b64encode((STATIC / "hyperlegible.woff2").read_bytes()).decode(),
        text=palette.text,
        page=palette.page,
        faint=palette.faint,
        plotly=get_plotlyjs(),
        figures="\n".join(figures),
        card_title=html.escape(say("export.card")),
        card="\n".join(rows),
    )


def pdf(
    title: str, captioned: Sequence[CaptionedFigure], facts: Facts, link: str, palette: Palette, reading: str = ""
) -> bytes:
    """PDF handout on A4: the figures with their captions, then the facts, and the link as a QR code.

    Args:
        title: of the handout.
        captioned: figures with their captions.
        facts: what a reader needs to get the same numbers.
        link: to the page; one of the facts.
        palette: colours of the page.
        reading: a sentence under the title: what the page says in words.

    Raises:
        ValueError: a figure has a part that `still_image` does not know.
    """
    paper = FPDF(format="A4")
    paper.set_title(title)
    paper.set_creator("Headlight")
    captions = [markdown_to_text(still_caption(caption)) for _, caption in captioned]
    texts = [title, reading, *captions, *(part for row in facts for part in row)]
    _add_fonts(paper, texts)
    paper.set_auto_page_break(True, margin=18)
    paper.add_page()
    paper.set_font("DejaVu", "B", 18)
    _write(paper, 9, title)
    if reading:
        paper.set_font("DejaVu", "", 11)
        _write(paper, 6, reading)
    figure_letters = (text for figure, _ in captioned for text in figure_texts(figure))
    missing = fonts.missing_letters("".join([*texts, *figure_letters]))
    if missing:
        paper.set_font("DejaVu", "", 9)
        first = fonts.replace_missing_letters(missing[0])
        _write(paper, 4.6, say("export.no_letters", count=len(missing), first=first))
    for (figure, _), caption in zip(captioned, captions, strict=True):
        picture = still_image(figure, palette.page, "png")
        paper.set_font("DejaVu", "", 9)
        lines: Any = paper.multi_cell(0, 4.6, fonts.replace_missing_letters(caption), dry_run=True, output="LINES")
        caption_height = 4.6 * len(lines)
        width, most = paper.epw, paper.eph - caption_height - 6
        height = min(width * (figure.layout.height or 400) / 900, most)
        if paper.get_y() + height + caption_height + 6 > paper.h - paper.b_margin:
            paper.add_page()
        top = paper.get_y() + 3
        paper.image(io.BytesIO(picture), x=paper.l_margin, y=top, w=width, h=height, keep_aspect_ratio=True)
        paper.set_y(top + height)
        _write(paper, 4.6, caption)
        paper.ln(3)
    _write_facts(paper, facts, link)
    return bytes(paper.output())


def _add_fonts(paper: FPDF, texts: Sequence[str]) -> None:
    """Add the fonts that the texts need to the document, and shaping for Arabic and right-to-left text."""
    first, *others = fonts.font_families(texts)
    for style, weight in (("", 400), ("B", 700)):
        font = fonts.font_entry(first, weight)
        paper.add_font("DejaVu", style, font.fname, collection_font_number=font.index)
    for name in others:
        font = fonts.font_entry(name)
        paper.add_font(name, "", font.fname, collection_font_number=font.index)
    paper.set_fallback_fonts(others, exact_match=False)
    paper.set_text_shaping(True)


def _write(paper: FPDF, height: float, text: str, **rest: Any) -> None:
    """Write a paragraph at the current position, right-aligned where its text is right-to-left; height: of a line."""
    text = fonts.replace_missing_letters(text)
    align = "R" if auto_detect_base_direction(text) is TextDirection.RTL else "L"
    paper.multi_cell(0, height, text, align=align, new_x="LMARGIN", new_y="NEXT", **rest)


def _facts_height(paper: FPDF, facts: Facts) -> float:
    """Height of what `_write_facts` writes, with the QR code, in mm."""
    total = 10 + CODE + 4.0
    for name, value in facts:
        heights: list[Any] = []
        for style, text, width in (("B", name, 46), ("", value, paper.epw - 46)):
            paper.set_font("DejaVu", style, 8)
            text = fonts.replace_missing_letters(text)
            heights.append(paper.multi_cell(width, 4.4, text, align="L", dry_run=True, output=MethodReturnValue.HEIGHT))
        total += max(heights) + 0.8
    return total


def _write_facts(paper: FPDF, facts: Facts, link: str) -> None:
    """Write the facts as a table with two columns, and the QR code of the link."""
    if paper.get_y() + _facts_height(paper, facts) > paper.h - paper.b_margin:
        paper.add_page()  # the facts and their code stand together
    paper.set_font("DejaVu", "B", 13)
    _write(paper, 10, say("export.card"))
    for name, value in facts:
        paper.set_font("DejaVu", "B", 8)
        name_height: Any = paper.multi_cell(46, 4.4, name, align="L", dry_run=True, output=MethodReturnValue.HEIGHT)
        below = paper.get_y() + name_height
        paper.multi_cell(46, 4.4, name, align="L", new_x="RIGHT", new_y="TOP")
        paper.set_font("DejaVu", "", 8)
        if value == link:
            paper.set_text_color(29, 95, 168)
        _write(paper, 4.4, value, link=link if value == link else "")
        paper.set_text_color(0)
        paper.set_y(max(paper.get_y(), below) + 0.8)
    code = qr_code(link)
    if code is not None:
        picture = io.BytesIO()
        code.save(picture, kind="png", scale=6, border=2)
        if paper.get_y() + CODE > paper.h - paper.b_margin:
            paper.add_page()
        paper.image(picture, w=CODE, h=CODE)
