"""Video in Chromium: pointing at a patch tints all frames, and Play follows the digit without the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from model.structures.clip_tracks import read_tracks
from tests.browser.driving import DESKTOP, PHONE, needs_chromium, visit
from tests.serving import settle

pytestmark = needs_chromium
FOCUS = "() => Number(document.documentElement.dataset.focus)"
# The patch under the digit's middle in each frame of `clip_one`.
PATH = [
    25 * frame + 5 * int(5 * down) + int(5 * across)
    for frame, (across, down) in enumerate(read_tracks("assets/clips/clip_one.gif", 8)[0].middles)
]


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def clip(address: str, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    path, shows = "video?model=moving-digits", ".clip-screen .clip-room"
    with visit(browser, address, path, shows=shows, viewport=request.param) as visited:
        yield visited.page


def tint(page: Page, place: int) -> float:
    return page.locator(f'.clip-frames [data-place="{place}"]').evaluate(
        'one => Number(one.style.getPropertyValue("--tint"))'
    )


def test_frames_are_tinted_and_play_follows_the_digit(clip: Page) -> None:
    page = clip
    assert page.evaluate(FOCUS) == PATH[0]
    assert tint(page, PATH[0] + 25) > 0.9  # the same place in the next frame
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    widths = page.locator(".clip-frames > .clip-frame").evaluate_all("all => all.map(one => one.clientWidth)")
    assert min(widths) >= 140
    room = page.locator(".clip-play").bounding_box()
    assert room is not None
    assert room["y"] + room["height"] <= page.evaluate("innerHeight")  # frames, Play and slider are in sight
    page.locator(f'.clip-frames [data-place="{PATH[3]}"]').hover()
    page.wait_for_function(f"({FOCUS})() === {PATH[3]}")
    expect(page.locator(".clip-frame.now")).to_have_attribute("data-frame", "3")
    page.mouse.move(1, 1)
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"({FOCUS})() === {PATH[1]}")
    settle(page)
    expect(page.locator(".clip-play input")).to_have_value("1")
    assert f"row_time={PATH[1]}" in page.url  # the server follows
    page.keyboard.press(" ")
    seen = [PATH[1]]
    page.wait_for_function(f"({FOCUS})() === {PATH[5]}", timeout=20_000)
    page.keyboard.press(" ")
    settle(page)
    seen.append(page.evaluate(FOCUS))
    assert set(seen) <= set(PATH)  # never off the digit
    assert page.locator(".clip-screen .clip-seen[data-on=true]").count() == 1


def test_a_file_that_is_too_large_gets_a_sentence_in_sight(address: str, browser: Browser) -> None:
    path, shows = "video?model=moving-digits&language=de", ".clip-screen .clip-room"
    with visit(browser, address, path, shows=shows) as visited:
        page = visited.page
        page.get_by_test_id("stPopoverButton").filter(has_text="Dein eigener Clip").click()
        clip = {"name": "big.gif", "mimeType": "image/gif", "buffer": b"GIF89a" + bytes(21_000_000)}
        page.locator("input[type=file]").set_input_files([clip])
        chosen = page.get_by_test_id("stFileUploader")
        expect(chosen.get_by_test_id("stFileChip")).to_have_attribute("aria-invalid", "true")
        said = chosen.evaluate("one => getComputedStyle(one, '::after').content")
        assert "20 MB" in said
        assert "kleinere" in said  # in the reader's language, as all else
        settle(page)
        box = chosen.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= page.evaluate("innerHeight")
        assert page.locator(".clip-frames .clip-frame").count() == 8  # the clip before stays


def test_after_an_answer_the_frames_that_it_speaks_of_are_in_sight(address: str, browser: Browser) -> None:
    path, shows = "lessons?lesson=11-clips&lesson_step=1", ".st-key-lesson_ask button"
    with visit(browser, address, path, shows=shows) as visited:
        page = visited.page
        page.locator(shows).first.click()
        settle(page)
        page.wait_for_function(  # it scrolls
            """() => {
              const frame = document.querySelector(".clip-frames > .clip-frame").getBoundingClientRect()
              const bar = document.querySelector(".st-key-bar").getBoundingClientRect()
              return bar.bottom <= frame.top + 30 && frame.bottom <= innerHeight
            }"""
        )
