"""Saved files: tables, images of every figure, HTML pages that need no network, PDF handouts."""

from __future__ import annotations

import html
import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pypdf
import pytest
from fpdf import FPDF
from PIL import Image
from streamlit.testing.v1 import AppTest

from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.app.driving import APP, PAGES, forget_results, go_to
from tests.serving import CHROMIUM, chromium
from viz.figures.grid import grid
from viz.figures.heads import head_heatmap, head_mosaic
from viz.figures.lab import head_sentences, ranked_heads
from viz.figures.output import beam_tree, next_token_bars
from viz.figures.proteins import contact_map
from viz.figures.theme import DARK, LIGHT, Palette, base_figure, rgba_colours
from viz.language.messages import say
from viz.saving import handout, tables
from viz.saving.plotly_values import plain_text
from viz.saving.still_image import still_image
from viz.widgets.menus import run_card, save_menu


def to_rgb(hexadecimal: str) -> list[int]:
    """A colour such as "#102030" as red, green and blue."""
    return [int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]


CARD = [("Model", "en-fr"), ("Link", "http://127.0.0.1:8501/?text=a&head=2")]


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace("The cat saw the other cat.")


@pytest.fixture(scope="module")
def heatmap(trace: Trace) -> go.Figure:
    return head_heatmap(trace.attentions["cross"], 1, 2, LIGHT, row=1)


def test_the_table_of_a_head_holds_the_runs_own_numbers(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    made = save_menu.weights_table(attention, 1, 2)
    assert callable(made)
    table = pd.read_csv(io.StringIO(made().to_csv(index=False)), keep_default_na=False)
    assert len(table) == len(attention.queries) * len(attention.keys)
    for _, row in table.iterrows():
        q, k = row[say("table.query_position")], row[say("table.key_position")]
        assert row[say("table.query")] == attention.query_tokens[q]
        assert row[say("table.token")] == attention.key_tokens[k]
        assert (
            row[say("table.allowed")] == str(attention.mask(1)[q, k])
            or row[say("table.allowed")] == attention.mask(1)[q, k]
        )
        # Worked out for this head alone, which may round the last bit otherwise.
        assert row[say("table.weight")] == pytest.approx(attention.weights(1)[2, q, k], abs=1e-6)
        assert row[say("table.score")] == pytest.approx(attention.scores(1)[2, q, k], abs=1e-5)


def test_the_table_of_all_heads_holds_each_of_them(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    made = save_menu.weights_table(attention)
    assert callable(made)
    table = made()
    for layer, head in ((0, 0), (2, 7), (1, 3)):
        mine = table[(table[say("table.layer")] == layer) & (table[say("table.head")] == head)]
        assert np.array_equal(mine[say("table.weight")], attention.weights(layer)[head].ravel())


def test_too_many_numbers_are_counted_not_written(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save_menu, "MAX_ROWS", 10)
    attention = trace.attentions["cross"]
    assert save_menu.weights_table(attention, 0, 0) == len(attention.queries) * len(attention.keys)


def test_a_figures_table_has_its_cells_with_token_names(heatmap: go.Figure, trace: Trace) -> None:
    attention = trace.attentions["cross"]
    table = tables.figure_table(heatmap)
    assert np.array_equal(table[say("heads.unit")].to_numpy(np.float32), attention.weights(1)[2].ravel())
    names = list(table[say("kinds.cross_asked")][: len(attention.keys)])
    assert names[1].startswith("cat")
    assert names[1] != names[5]  # the other cat
    assert "</s>" in names


@pytest.fixture(scope="module")
def visited() -> AppTest:
    forget_results()
    return AppTest.from_file(str(APP), default_timeout=120)


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_every_page_can_be_taken_along(visited: AppTest, page: str) -> None:
    app = go_to(visited, page)
    drawn = app.session_state["drawn"]
    assert len(drawn) == (1 if page == "text" else len(app.get("plotly_chart")))  # Reading draws its words itself
    for one in drawn.values():
        assert one.caption
        picture = Image.open(io.BytesIO(still_image(one.figure, LIGHT.page, "png")))
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20  # more than an empty frame
        assert picture.width > 1000
        assert still_image(one.figure, LIGHT.page, "svg").count(b"<path") > 5


def test_a_picture_shows_the_weights_as_colours() -> None:
    figure = go.Figure(
        go.Heatmap(z=np.array([[0, 1]], np.float32), colorscale=[[0, "#000"], [1, "#f00"]], showscale=False)
    )
    picture = np.asarray(Image.open(io.BytesIO(still_image(figure, "#fff", "png"))).convert("RGB")).reshape(-1, 3)
    for colour in ((0, 0, 0), (255, 0, 0)):
        assert (picture == colour).all(1).mean() > 0.3
    picture = still_image(figure, "#fff", "svg")
    assert picture == still_image(figure, "#fff", "svg")  # the same figure is the same file


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_picture_of_all_heads_has_the_colours_of_the_screen(trace: Trace, palette: Palette) -> None:
    figure = head_mosaic(trace.attentions["cross"], palette)
    pixels = np.asarray(Image.open(io.BytesIO(still_image(figure, palette.page, "png"))).convert("RGB")).reshape(-1, 3)
    scale = rgba_colours(np.linspace(0, 1, 255), palette.sequential)[:, :3]
    inks = np.vstack([scale, to_rgb(palette.page), to_rgb(palette.text)]).astype(int)
    found, counts = np.unique(pixels.astype(int), axis=0, return_counts=True)
    common = found[counts > 500]
    assert len(common) > 20
    assert np.abs(common[:, None] - inks).max(-1).min(-1).max() <= 3
    assert (pixels == to_rgb(palette.page)).all(1).mean() > 0.1  # between the tiles, too, one sees the page


def test_every_dash_and_every_ink_of_a_figure_is_known(lens: Translator) -> None:
    figure = base_figure("title", DARK, height=300)
    for dash in ("solid", "dot", "dash", "dashdot"):
        figure.add_scatter(x=[0, 1], y=[0, 1], line={"dash": dash, "color": "#fff"}, name=dash)
    assert still_image(figure, DARK.page, "png")
    heat = head_heatmap(lens.trace("I see.").attentions["cross"], 0, 0, DARK)
    decoded = lens.decode("I see.", Decoding("beam", beams=2))
    tree = beam_tree(decoded.tree, lens.labels([node.token for node in decoded.tree]), [], DARK)
    for one in (heat, tree):  # no letter in matplotlib's own black, which a dark page swallows
        inks = set(re.findall(rb"fill: (#[0-9a-f]{6})", still_image(one, DARK.page, "svg")))
        assert DARK.text.encode() in inks
        assert b"#000000" not in inks


def test_a_square_figure_keeps_its_title_whole() -> None:
    figure = contact_map(np.eye(40, dtype=np.float32), None, ["A"] * 40, ("encoder", range(40)), "W" * 40, LIGHT)
    picture = np.asarray(Image.open(io.BytesIO(still_image(figure, "#ffffff", "png"))).convert("L"))
    inked = np.flatnonzero((picture[:40] < 200).any(axis=0))
    assert inked[0] < 40
    assert inked[-1] < picture.shape[1] - 40


def test_a_picture_of_several_named_series_says_which_is_which() -> None:
    def picture(*names: str, **layout: Any) -> np.ndarray:
        figure = base_figure("Bars", LIGHT, height=300)
        for number, name in enumerate(names):
            figure.add_bar(x=[0, 1], y=[number + 1, 2], name=name)
        figure.update_layout(**layout)
        return np.asarray(Image.open(io.BytesIO(still_image(figure, LIGHT.page, "png"))))

    told = picture("this head", "best head")
    assert not np.array_equal(told, picture("this head", "best head", showlegend=False))
    assert np.array_equal(told, picture("this head", "best head", showlegend=True))
    assert np.array_equal(picture("this head"), picture("this head", showlegend=False))  # as Plotly does


def test_numbers_on_an_axis_are_all_written() -> None:
    assert [plain_text(one) for one in (0, 1, None, "")] == ["0", "1", "", ""]


def test_a_picture_has_lines_between_cells_where_the_figure_has_them() -> None:
    def lined(columns: int) -> float:
        """The share of a red map's middle row of pixels that has the colour of its lines."""
        labels = [str(i) for i in range(columns)]
        figure = grid(
            np.ones((3, columns), np.float32), rows="abc", columns=labels, title="", row_title="", column_title="",
            unit="", hover="", palette=replace(LIGHT, page="#00f"), scale=((0, "#f00"), (1, "#f00")), bar=False,
        )  # fmt: skip
        pixels = np.asarray(Image.open(io.BytesIO(still_image(figure, "#fff", "png"))).convert("RGB")).astype(int)
        red = (pixels[..., 0] > 200) & (pixels[..., 1:] < 60).all(-1)
        middle = pixels[int(np.nonzero(red.any(1))[0].mean())]
        blue = (middle[:, 2] > 100) & (middle[:, 1] < 60)
        return float(blue.mean())

    assert 0 < lined(4) < 0.05
    assert lined(200) == 0


def svg_texts(figure: go.Figure, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of a figure's picture."""
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    drawn = still_image(figure, "#fff", "svg").replace(b"svg.fonttype", b"")
    return [html.unescape(one) for one in re.findall(r"<!-- (.*?) -->", drawn.decode())]


def test_what_the_lab_draws_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.array([0.2, 0.5, 0.4], np.float32)
    points = head_sentences(values, ["a", "b", "c"], (0.3, 0.4, 0.45), "Points", "share", LIGHT)
    line = points.layout.shapes[1]

    def colours(figure: go.Figure) -> set[tuple[int, ...]]:
        picture = Image.open(io.BytesIO(still_image(figure, "#fff", "png"))).convert("RGB")
        return {one for _, one in picture.getcolors(1 << 24)}

    assert tuple(to_rgb(line.line.color)) in colours(points)
    without = go.Figure(points).update_layout(shapes=[line])
    assert colours(points) - colours(without)  # the band
    assert not [one for one in svg_texts(points, monkeypatch) if re.search(r"\d(\.\d)?$", one)]
    table = np.array([[0.3, 0.2]], np.float32)
    bars = ranked_heads(table, table - 0.1, table + 0.1, (0, 0), "share", LIGHT, [0])
    assert tuple(to_rgb(bars.layout.shapes[0].line.color)) in colours(bars)


def test_numbers_at_bars_and_percents_of_an_axis_are_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = next_token_bars(np.array([0.62, 0.31]), ["rouge", "vert"], 0, LIGHT, "Next")
    texts = svg_texts(figure, monkeypatch)
    assert {"62%", "31%", "rouge", "vert"} <= set(texts)
    assert "25%" in texts
    assert "0.25" not in texts


def test_a_thick_line_is_no_longer_than_it_says() -> None:
    def inked(end: float) -> int:
        figure = base_figure("", LIGHT, height=300)
        figure.add_scatter(x=[0, end], y=[0, 0], mode="lines", line={"color": "#ff0000", "width": 20})
        figure.update_layout(xaxis={"range": [-1, 1]}, yaxis={"range": [-1, 1]})
        pixels = np.asarray(Image.open(io.BytesIO(still_image(figure, "#ffffff", "png"))).convert("RGB")).astype(int)
        return int(((pixels[..., 0] > 200) & (pixels[..., 1] < 60)).any(0).sum())

    assert inked(0.02) == pytest.approx(inked(0.5) * 0.04, abs=3)


def test_the_facts_and_their_code_stand_on_one_page() -> None:
    facts = [(f"Fact {number}", "so") for number in range(9)]
    paper = FPDF(format="A4")
    handout._add_fonts(paper, ["Fact"])
    paper.set_text_shaping(True)
    paper.add_page()
    paper.set_y(paper.h - 95)  # room for the facts, and none for the code below them
    handout._write_facts(paper, facts, CARD[1][1])
    assert paper.pages_count == 2
    assert paper.get_y() > 10 + 9 * 5 + handout.CODE


def test_a_part_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="pie"):
        still_image(go.Figure(go.Pie(values=[1, 2])), "#fff", "png")


def test_letters_of_any_script_draw(heatmap: go.Figure) -> None:
    figure = go.Figure(heatmap).update_layout(title_text="日本語 العربية $x$ <b>&lt;s&gt;</b> 😀")
    assert still_image(figure, "#fff", "png")
    assert handout.pdf("日本語 العربية 😀", [(figure, "**look**")], CARD, CARD[1][1], LIGHT)


def test_a_saved_page_has_all_inside(heatmap: go.Figure) -> None:
    page = handout.html_page("<b>A & B", [(heatmap, "look at `this`")], CARD, LIGHT, "en")
    assert "&lt;b&gt;A &amp; B" in page
    assert "look at this" in page
    assert "text=a&amp;head=2" in page


@pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="Chromium is missing")
def test_a_saved_page_draws_without_a_network(heatmap: go.Figure, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(handout.html_page("Heads", [(heatmap, "look")] * 2, CARD, LIGHT, "en"), encoding="utf-8")
    asked, errors = [], []
    with chromium() as browser:
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        page.locator(".heatmaplayer image").nth(1).wait_for()
        assert page.locator("text=cat").count() >= 2
        page.wait_for_timeout(500)
    assert not errors
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}


def test_the_handout_holds_captions_and_the_card(heatmap: go.Figure) -> None:
    look = "Blank cells are **forbidden** by \\`the mask\\`."
    link = CARD[1][1]
    made = pypdf.PdfReader(io.BytesIO(handout.pdf("Heads: a test", [(heatmap, look)] * 4, CARD, link, LIGHT)))
    text = "\n".join(page.extract_text() for page in made.pages)
    assert "Heads: a test" in text
    assert text.count("Blank cells are forbidden by `the mask`.") == 4
    assert "en-fr" in text
    assert link in text.replace("\n", "")
    assert (
        sum(len(page.images) for page in made.pages) >= 2 + 1
    )  # equal pictures are stored once a page; and the QR code
    uris = [a.get_object()["/A"]["/URI"] for page in made.pages for a in page.get("/Annots", [])]
    assert link in uris


def test_a_label_of_two_lines_pushes_the_next_one_down(heatmap: go.Figure) -> None:
    card = [("Checked against an independent run of another kind", "yes"), ("Below", "it")]
    made = pypdf.PdfReader(io.BytesIO(handout.pdf("A test", [(heatmap, "look")], card, "", LIGHT)))
    heights: dict[str, float] = {}

    def see(text: str, *place: Any) -> None:
        heights.update(dict.fromkeys(text.split(), place[1][5]))

    for page in made.pages:
        page.extract_text(visitor_text=see)
    lines = [heights[word] for word in ("Checked", "kind", "Below")]
    assert lines == sorted(lines, reverse=True)
    assert len(set(lines)) == 3
    assert heights["it"] == pytest.approx(heights["Below"], abs=1)


def test_the_card_says_what_is_needed_for_the_same_numbers(lens: Translator) -> None:
    trace = lens.trace("The red car stopped.", edits=Edits.parse("heads:cross.0.3=0.0"))
    card = dict(run_card.run_facts([("en-fr", "float32", trace)] * 2, "en-fr", CARD[1][1]))
    check = trace.verify()
    largest = max(check.max_weight_error, check.max_logit_error, check.max_row_sum_error)
    assert card[say("export.model")] == "en-fr"
    assert card[say("export.revision")].startswith("sha256-b1e39c7cf399")
    assert card[say("export.text")] == "The red car stopped."
    assert card[say("export.output")] == trace.output
    assert card[say("export.edits")] == "heads:cross.0.3=0.0"
    assert card[say("export.ran_on")] == say("export.ran", device="cpu", dtype="float32")
    assert f"{largest:.1e}" in card[say("export.check")]
    assert say("export.proved") in card[say("export.check")]
    assert "torch" in card[say("export.versions")]
    assert card[say("export.link")] == CARD[1][1]
    broken = replace(trace, run_check=lambda _: replace(check, max_weight_error=0.5))
    assert (
        say("export.wrong")
        in dict(run_card.run_facts([("en-fr", "float32", broken)], "en-fr", ""))[say("export.check")]
    )
    assert dict(run_card.run_facts([], "en-fr", "x"))[say("export.check")] == say("export.no_run")


def test_a_wide_table_has_the_numbers_of_its_map(lens: Translator) -> None:
    attention = lens.trace("That that is, is.").attentions["encoder"]
    table = tables.wide_figure_table(head_heatmap(attention, 0, 1, LIGHT))
    assert np.array_equal(table.to_numpy()[:, 1:].astype(np.float32), attention.weights(0)[1])
    assert len(set(table.columns)) == len(attention.keys) + 1  # repeated tokens keep columns of their own
    heads = tables.wide_figure_table(head_mosaic(attention, LIGHT))
    assert len(heads) == attention.num_layers * attention.num_heads
