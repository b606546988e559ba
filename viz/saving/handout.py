"""Figures to take home: one HTML page that needs no network, and a PDF with captions; each with what repeats it."""

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
from viz.saving.still_image import still, strings

STATIC = Path(__file__).parents[2] / "static"
Drawn = tuple[go.Figure, str]  # a figure and what to look for in it, as Markdown
Card = Sequence[tuple[str, str]]  # what a reader needs to get the same numbers: name and value


def unmarked(markdown: str) -> str:
    """Markdown of the interface as plain text."""
    marks = r"\\([^\w\s])|:[a-z]+\[(.*?)\]|:material/\w+:|\*\*|`"
    return re.sub(marks, lambda found: found[1] or found[2] or "", markdown).replace("\u2060", "").strip()


def page(title: str, drawn: Sequence[Drawn], card: Card, palette: Palette, language: str) -> str:
    """A web page in one file, with all it needs inside: the figures stay alive, and nothing is fetched."""
    figures = []
    for figure, look in drawn:
        # The file may be opened years later, so even the picture's own menu must not lead into the network.
        plot = figure.to_html(include_plotlyjs=False, full_html=False, config={"displaylogo": False})
        figures.append(f"<figure>{plot}<figcaption>{html.escape(unmarked(look))}</figcaption></figure>")
    rows = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in card]
    return Template(Path(__file__).with_name("live_page.html").read_text(encoding="utf-8")).substitute(
        language=language,
        title=html.escape(title),
        font=base64.b64encode((STATIC / "hyperlegible.woff2").read_bytes()).decode(),
        text=palette.text,
        page=palette.page,
        faint=palette.faint,
        plotly=get_plotlyjs(),
        figures="\n".join(figures),
        card_title=html.escape(say("export.card")),
        card="\n".join(rows),
    )


def pdf(title: str, drawn: Sequence[Drawn], card: Card, link: str, palette: Palette) -> bytes:
    """A handout on A4: every figure with its caption, then what repeats it, with the link as a QR code."""
    paper = FPDF(format="A4")
    paper.set_title(title)
    paper.set_creator("Headlight")
    looks = [unmarked(look) for _, look in drawn]
    texts = [title, *looks, *(part for row in card for part in row)]
    _take_fonts(paper, texts)
    paper.set_auto_page_break(True, margin=18)
    paper.add_page()
    paper.set_font("DejaVu", "B", 18)
    _write(paper, 9, title)
    without = fonts.missing("".join([*texts, *(text for figure, _ in drawn for text in strings(figure))]))
    if without:
        paper.set_font("DejaVu", "", 9)
        _write(paper, 4.6, say("export.no_letters", count=len(without), first=fonts.written(without[0])))
    for (figure, _), look in zip(drawn, looks, strict=True):
        picture = still(figure, palette.page, "png")
        caption = fonts.written(look)
        paper.set_font("DejaVu", "", 9)
        lines: Any = paper.multi_cell(0, 4.6, caption, dry_run=True, output="LINES")
        under = 4.6 * len(lines)
        width, room = paper.epw, paper.eph - under - 6
        height = min(width * (figure.layout.height or 400) / 900, room)
        if paper.get_y() + height + under + 6 > paper.h - paper.b_margin:
            paper.add_page()
        top = paper.get_y() + 3
        paper.image(io.BytesIO(picture), x=paper.l_margin, y=top, w=width, h=height, keep_aspect_ratio=True)
        paper.set_y(top + height)
        _write(paper, 4.6, caption)
        paper.ln(3)
    _print_card(paper, card, link)
    return bytes(paper.output())


def _take_fonts(paper: FPDF, texts: Sequence[str]) -> None:
    """The fonts that these texts need, and the engine that joins Arabic letters and orders what runs to the left."""
    first, *others = fonts.families(texts)
    for style, weight in (("", 400), ("B", 700)):
        font = fonts.entry_of(first, weight)
        paper.add_font("DejaVu", style, font.fname, collection_font_number=font.index)
    for name in others:
        font = fonts.entry_of(name)
        paper.add_font(name, "", font.fname, collection_font_number=font.index)
    paper.set_fallback_fonts(others, exact_match=False)
    paper.set_text_shaping(True)


def _write(paper: FPDF, height: float, text: str, **rest: Any) -> None:
    """A paragraph from where the pen stands; one that runs to the left begins at the right."""
    text = fonts.written(text)
    align = "R" if auto_detect_base_direction(text) is TextDirection.RTL else "L"
    paper.multi_cell(0, height, text, align=align, new_x="LMARGIN", new_y="NEXT", **rest)


def _print_card(paper: FPDF, card: Card, link: str) -> None:
    if paper.get_y() > paper.h - 90:
        paper.add_page()
    paper.set_font("DejaVu", "B", 13)
    _write(paper, 10, say("export.card"))
    for name, value in card:
        paper.set_font("DejaVu", "B", 8)
        tall: Any = paper.multi_cell(46, 4.4, name, align="L", dry_run=True, output=MethodReturnValue.HEIGHT)
        below = paper.get_y() + tall
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
        if paper.get_y() > paper.h - paper.b_margin - 44:
            paper.add_page()
        paper.image(picture, w=40, h=40)
