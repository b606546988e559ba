"""What a saved page says and shows in place of what only the live page can do."""

import numpy as np
import pytest

import model
from viz.figures.heads import head_mosaic
from viz.figures.theme import LIGHT
from viz.language.messages import languages, say, set_language
from viz.saving.still_image import still_image
from viz.saving.still_page import still_caption, with_frames


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("Each tile is one head: click it to open it.", "Each tile is one head."),
        ("Rows add up to 100 %. Click a row. Blank is forbidden.", "Rows add up to 100 %. Blank is forbidden."),
        ("Click a bar.", ""),
        ("Point at a cell to read it.", "Point at a cell to read it."),
    ],
)
def test_a_saved_caption_asks_for_no_click(caption: str, kept: str) -> None:
    assert still_caption(caption) == kept


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("caption", ["mosaic_look", "mosaic_look_touch"])
def test_what_the_tiles_ask_for_is_asked_of_no_saved_page(language: str, caption: str) -> None:
    try:
        set_language(language)
        assert still_caption(say(f"heads.{caption}")) == ""
    finally:
        set_language("en")


def test_a_saved_picture_of_all_heads_frames_the_chosen_one() -> None:
    weights = np.full((2, 3, 4, 4), 0.25, np.float32)
    attention = model.Attention.from_arrays(weights, ("that", "that", "is", "that"))
    mosaic = head_mosaic(attention, LIGHT)
    framed = with_frames(mosaic, {"": (1, 2)}, LIGHT)
    assert mosaic.layout.meta["tiles"] == {"layers": 2, "heads": 3}
    x, y = (2, 1)  # heads across, layers down
    (box,) = framed.layout.shapes
    assert (box.x0 + box.x1) / 2 == pytest.approx(x)
    assert (box.y0 + box.y1) / 2 == pytest.approx(y)
    assert not mosaic.layout.shapes  # the page's own figure stays as it was
    assert with_frames(mosaic, {"": (5, 0)}, LIGHT) is mosaic


def test_a_saved_picture_of_compared_heads_frames_and_names_both() -> None:
    weights = np.full((2, 3, 4, 4), 0.25, np.float32)
    attention = model.Attention.from_arrays(weights, ("that", "that", "is", "that"))
    framed = with_frames(head_mosaic(attention, LIGHT), {"A": (1, 2), "B": (0, 1)}, LIGHT)
    middles = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in framed.layout.shapes]
    assert middles == [pytest.approx((2, 1)), pytest.approx((1, 0))]
    assert [note.text for note in framed.layout.annotations] == ["<b>A</b>", "<b>B</b>"]
    assert len({box.line.color for box in framed.layout.shapes}) == 2
    assert still_image(framed, LIGHT.page, "png")
