"""What plays by itself: the depths of Layers, the steps of Output, in the browser's time; and the tour of a minute."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import PHONE, Visit, go, needs_chromium, open_at, visit
from tests.serving import settle
from viz.language.messages import say
from viz.widgets import tour

pytestmark = needs_chromium


def pressed(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").first.click()


def test_layers_play_from_the_embedding_to_the_last_layer(page: Page) -> None:
    go(page, "See", "Layers")
    title = page.locator(".st-key-activations .gtitle")
    pressed(page, "depth_play")
    seen: list[str] = []
    for _ in range(900):  # three layers take three seconds, longer on a busy machine
        text = title.first.text_content() or ""
        seen += [text] if text and text not in seen else []
        if len(seen) == 4 and page.locator(".st-key-depth_play").get_by_text(say("layers.play")).count():
            break
        page.wait_for_timeout(100)
    assert len(seen) == 4, seen  # the embedding and three layers, none left out
    assert [str(layer) in text for layer, text in enumerate(seen[1:])] == [True] * 3, seen
    expect(page.locator(".st-key-depth_play")).to_contain_text(say("layers.play"))
    assert "depth=3" in page.url


def test_pause_holds_the_depth(page: Page) -> None:
    go(page, "See", "Layers")
    pressed(page, "depth_play")
    expect(page.locator(".st-key-depth_play")).to_contain_text(say("layers.pause"))
    pressed(page, "depth_play")
    expect(page.locator(".st-key-depth_play")).to_contain_text(say("layers.play"))
    settle(page)
    before = page.locator(".st-key-activations .gtitle").first.text_content()
    page.wait_for_timeout(2_000)
    assert page.locator(".st-key-activations .gtitle").first.text_content() == before


def test_output_writes_one_token_after_the_other(page: Page) -> None:
    words = page.locator(".st-key-output .token").all_inner_texts()
    go(page, "See", "Output")
    written = page.locator(".tokens.written")
    page.wait_for_function("() => document.querySelector('.tokens.written .token.new')")
    pressed(page, "play")
    seen: list[str] = []
    for _ in range(300):
        text = " ".join(written.locator(".token").all_inner_texts())
        seen += [text] if text and text not in seen else []
        if len(seen) > 3:
            break
        page.wait_for_timeout(100)
    assert len(seen) > 3, seen
    for shorter, longer in pairwise(seen):  # each token once, in its order
        assert longer.startswith(shorter)
        assert len(longer.split(" ")) == len(shorter.split(" ")) + 1
    assert " ".join(words).startswith(seen[-1])
    pressed(page, "play")
    settle(page)
    held = written.inner_text()
    page.wait_for_timeout(3_000)
    assert written.inner_text() == held


@pytest.mark.parametrize("size", [(1280, 800), (1024, 768), (800, 600), (390, 844)])
def test_the_tour_leads_through_the_page_to_lesson_1(browser: Browser, address: str, size: tuple[int, int]) -> None:
    how = {"viewport": {"width": size[0], "height": size[1]}}
    with visit(browser, address, first=True, **how) as visited:
        page = visited.page
        page.locator("#tour-offer").get_by_role("button", name=say("tour.start")).click()
        card = page.locator("#tour-card")
        for number, (part, (_, places)) in enumerate(tour.PARTS.items()):
            expect(card).to_contain_text(say("tour.place", step=number + 1, steps=len(tour.PARTS)))
            expect(card).to_contain_text(say(f"tour.{part}"))
            at_rest(page, ["#tour-mark", places[0], "#tour-card"])
            mark, there, box = page.evaluate(BOXES, ["#tour-mark", places[0], "#tour-card"])
            assert there["left"] - 5 <= mark["left"]
            assert mark["right"] <= there["right"] + 5
            assert there["top"] - 5 <= mark["top"] < mark["bottom"] <= there["bottom"] + 5, part
            assert mark["bottom"] - mark["top"] >= min(there["bottom"] - there["top"], 150)  # enough to be known by
            assert apart(box, mark), part  # the card does not lie over what it points at
            if size == (1280, 800):
                assert mark["bottom"] >= there["bottom"]  # all of it
            assert box["left"] >= 0
            assert box["right"] <= size[0]
            assert box["top"] >= 0
            assert box["bottom"] <= size[1]
            if number + 1 < len(tour.PARTS):
                card.get_by_role("button", name=say("tour.next")).click()
        card.get_by_role("button", name=say("tour.lesson")).click()
        expect(page.locator(".st-key-lesson")).to_be_visible(timeout=30_000)
        settle(page)
        assert "lesson=01" in page.url
        assert card.count() == 0


BOX = """one => {
  const { left, top, right, bottom } = one.getBoundingClientRect()
  return { left, top, right, bottom }
}"""
BOXES = f"places => places.map(place => ({BOX})(document.querySelector(place)))"


def at_rest(page: Page, selectors: list[str]) -> None:
    """Wait until elements that can be seen have been in one place for a third of a second, by the page's own clock."""
    rested = page.evaluate(
        f"""async places => {{
          const end = performance.now() + 60_000
          for (let still = 0, before = ""; still < 7;) {{
            await new Promise(then => setTimeout(then, 50))
            if (performance.now() > end) return false
            const boxes = ({BOXES})(places), now = JSON.stringify(boxes)
            still = now === before && boxes.every(one => one.left < one.right) ? still + 1 : 0
            before = now
          }}
          return true
        }}""",
        selectors,
    )
    assert rested, selectors


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether two boxes have no point in common."""
    return (
        one["left"] >= other["right"]
        or other["left"] >= one["right"]
        or one["top"] >= other["bottom"]
        or other["top"] >= one["bottom"]
    )


def test_the_tour_is_offered_once_and_ends_with_escape(browser: Browser, address: str) -> None:
    with visit(browser, address, first=True) as visited:
        page = visited.page
        page.locator("#tour-offer").get_by_role("button", name=say("tour.start")).click()
        expect(page.locator("#tour-card")).to_contain_text(say("tour.sentence"))
        page.keyboard.press("ArrowRight")
        card = page.locator("#tour-card")
        expect(card).to_contain_text(say("tour.output"))
        for part in ("whole", "tiles"):
            page.keyboard.press("ArrowRight")
            expect(card).to_contain_text(say(f"tour.{part}"))
        settle(page)
        head = page.locator(".chosen-head").get_attribute("data-head")
        for key, part in (("ArrowRight", "row"), ("ArrowLeft", "tiles")):  # keys of the tour, not of the heads
            page.keyboard.press(key)
            expect(card).to_contain_text(say(f"tour.{part}"))
        assert page.locator(".chosen-head").get_attribute("data-head") == head
        page.keyboard.press("Escape")
        expect(page.locator("#tour-card")).to_have_count(0)
        open_at(page, f"{address}/heads")
        page.wait_for_timeout(500)
        assert page.locator("#tour-offer").count() == 0


@pytest.mark.parametrize("size", [(390, 844), (1024, 768)])
def test_the_offer_hides_nothing_that_is_pressed(browser: Browser, address: str, size: tuple[int, int]) -> None:
    how = {"viewport": {"width": size[0], "height": size[1]}}
    with visit(browser, address, first=True, **how) as visited:
        (offer,) = visited.page.evaluate(BOXES, ["#tour-offer"])
        assert offer["right"] <= size[0]
        pressed_ones = visited.page.locator(":is(header, .st-key-top_bar, .st-key-bar) :is(button, textarea, input)")
        for one in pressed_ones.filter(visible=True).all():
            assert apart(offer, one.evaluate(BOX)), one.inner_text()


def test_on_a_phone_the_tour_scrolls_to_what_it_speaks_of(browser: Browser, address: str) -> None:
    with visit(browser, address, first=True, viewport=PHONE, has_touch=True, is_mobile=True) as visited:
        page = visited.page
        page.locator("#tour-offer").get_by_role("button", name=say("tour.start")).tap()
        for number, part in enumerate(tour.PARTS):
            expect(page.locator("#tour-card")).to_contain_text(say(f"tour.{part}"))
            at_rest(page, ["#tour-mark"])
            mark = page.locator("#tour-mark").bounding_box()
            assert mark
            assert mark["y"] < PHONE["height"] - 40, part
            if number + 1 < len(tour.PARTS):
                page.locator("#tour-card").get_by_role("button", name=say("tour.next")).tap()
        page.locator("#tour-card").get_by_role("button", name=say("tour.close")).tap()


def test_nothing_plays_by_itself(visited: Visit) -> None:
    """Layers and Output rest until they are asked."""
    page = visited.page
    for name in ("Layers", "Output"):
        go(page, "See", name)
        page.wait_for_timeout(500)
        sent = len(visited.sent)
        page.wait_for_timeout(2_000)
        assert len(visited.sent) == sent


def test_a_first_visit_is_led_to_the_lessons_and_an_answer_is_typed_without_a_click(
    browser: Browser, address: str
) -> None:
    with visit(browser, address, first=True) as visited:
        page = visited.page
        page.locator("#tour-offer").get_by_role("button", name=say("lessons.title")).click()
        page.locator(".st-key-start_04-one-head button").click()
        guide = page.locator(".st-key-lesson")
        guide.get_by_role("button", name="red", exact=True).click()
        guide.get_by_role("button", name="Next").click()
        box = guide.get_by_role("textbox")
        expect(box).to_be_focused(timeout=30_000)
        text = guide.inner_text()
        total, divided = (float(number) for number in re.findall(r"(\d+\.\d)\b.*√(\d+)", text)[0])
        box.press_sequentially(f"{total / divided**0.5:.1f}")
        box.press("Enter")
        expect(guide).to_contain_text("That is right.")
        expect(guide.get_by_role("button", name="Next")).to_be_focused(timeout=30_000)
        page.keyboard.press("Enter")
        expect(guide).to_contain_text(say("lessons.place", step=3, steps=5))
        page.keyboard.press("b")  # who goes by keys keeps them
        expect(guide).to_contain_text(say("lessons.place", step=2, steps=5))
        settle(page)
        assert page.locator("#tour-offer").count() == 0
