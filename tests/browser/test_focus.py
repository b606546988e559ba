"""One focus token for the whole page: pointer, keyboard and touch mark its row in every figure, without the server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.driving import (
    PHONE,
    Visit,
    assert_agrees,
    click_at,
    needs_chromium,
    open_at,
    row_at,
    shown,
    tile_at,
    visit,
)
from tests.serving import settle

pytestmark = needs_chromium
LINKED = ("heatmap", "lines")
# Milliseconds from a movement of the pointer to when all figures show it; the listeners of the page run before these.
CLOCK = """() => {
  addEventListener("pointermove", event => { window.moved = event.timeStamp }, true)
  document.addEventListener("headlight-focus", () => { window.followed = performance.now() - window.moved })
}"""


def focus(page: Page) -> str | None:
    """The place of the token in focus."""
    return page.evaluate("document.documentElement.dataset.focus")


def marked_rows(page: Page, key: str) -> list[int]:
    """Places of the tokens whose rows are marked in a figure; each mark's middle must be that of its row."""
    found: list[int] = page.evaluate(
        """key => {
          const gd = document.querySelector(`.st-key-${key} .js-plotly-plot`), top = gd.getBoundingClientRect().top
          const { yaxis } = gd._fullLayout
          return [...gd.querySelectorAll(".focus-mark")].map(mark => {
            const box = mark.getBoundingClientRect(), middle = (box.top + box.bottom) / 2 - top - yaxis._offset
            const rows = gd.layout.meta.focus.filter(one => one.axis === "y")
              .flatMap(one => one.at.map((at, i) => [Math.abs(yaxis.l2p(at) - middle), one.places[i]]))
            return rows.filter(([apart]) => apart < 2)[0]?.[1] ?? -1
          })
        }""",
        key,
    )
    return found


def assert_focused(page: Page, place: int) -> None:
    """The token at a place is in focus: on the page, in both figures, and in the output line."""
    expect(page.locator("html")).to_have_attribute("data-focus", str(place), timeout=5_000)
    for key in LINKED:
        assert marked_rows(page, key) == [place], key
    words = page.locator(".st-key-output [data-focused]")
    expect(words).to_have_count(1)
    expect(words).to_have_attribute("data-place", str(place))


def word(page: Page, place: int) -> Locator:
    return page.locator(f".st-key-output [data-place='{place}']")


def test_the_pointer_shows_a_row_everywhere_and_asks_nobody(visited: Visit) -> None:
    page, sent = visited.page, len(visited.sent)
    assert_focused(page, 1)  # what the server shows
    page.evaluate(CLOCK)
    times = []
    for place in (3, 0, 5):
        page.mouse.move(*row_at(page, place))
        assert_focused(page, place)
        times.append(page.evaluate("window.followed"))
        assert f"head 3, {word(page, place).inner_text()} looks at" in shown(page)["reading"]
    page.mouse.move(*row_at(page, 6, "lines"))
    assert_focused(page, 6)
    word(page, 4).hover()
    assert_focused(page, 4)
    page.mouse.move(640, 4)  # nothing is there
    assert_focused(page, 1)
    assert len(visited.sent) == sent
    print(f"from a movement to all figures: {', '.join(f'{one:.0f}' for one in times)} ms")
    assert max(times) < 250


def test_a_figure_that_does_not_say_where_its_tokens_stand_is_left_out(visited: Visit) -> None:
    """That marks come from what a figure says, and that the test above would notice one that is missing."""
    page = visited.page
    page.evaluate("delete document.querySelector('.st-key-lines .js-plotly-plot').layout.meta.focus")
    page.evaluate("document.querySelector('.st-key-lines .focus-marks').replaceChildren()")
    page.mouse.move(*row_at(page, 3))
    expect(page.locator("html")).to_have_attribute("data-focus", "3")
    assert marked_rows(page, "heatmap") == [3]
    with pytest.raises(AssertionError):
        assert_focused(page, 3)


def test_a_click_on_a_row_or_a_word_fixes_it(visited: Visit) -> None:
    page = visited.page
    for place, at in ((4, row_at(page, 4)), (6, row_at(page, 6, "lines"))):
        click_at(page, at)
        page.mouse.move(640, 4)
        assert_focused(page, place)
        assert_agrees(page, 0, 3, row=place)
        assert f"row_cross={place}" in page.url
    word(page, 2).click()
    settle(page)
    page.mouse.move(640, 4)
    assert_focused(page, 2)
    assert_agrees(page, 0, 3, row=2)


def test_the_keyboard_walks_through_the_words(visited: Visit) -> None:
    page, sent = visited.page, len(visited.sent)
    page.locator(".st-key-changing button").first.focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.dataset.place"):
            break
    for place in range(3):
        assert page.evaluate("document.activeElement.dataset.place") == str(place)
        assert_focused(page, place)
        page.keyboard.press("Tab")
    assert len(visited.sent) == sent
    page.keyboard.press("Enter")
    settle(page)
    assert_agrees(page, 0, 3, row=3)
    assert len(visited.sent) > sent


def test_a_finger_on_a_word_or_a_row_shows_it(browser: Browser, address: str) -> None:
    phone = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    with visit(browser, address, **phone) as visited:
        page, sent = visited.page, len(visited.sent)
        touch = page.context.new_cdp_session(page)

        def press(at: tuple[float, float]) -> None:
            """A finger that comes down and slides away: no click."""
            point = {"x": at[0], "y": at[1]}
            touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
            page.wait_for_timeout(150)

        def release() -> None:
            touch.send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
            page.wait_for_timeout(150)

        box = word(page, 3).bounding_box()
        assert box
        press((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
        assert_focused(page, 3)
        release()
        page.locator(".st-key-heatmap").scroll_into_view_if_needed()
        page.wait_for_timeout(400)
        press(row_at(page, 5))
        assert_focused(page, 5)
        release()
        assert len(visited.sent) == sent


def test_every_linked_figure_of_a_page_moves_together(visited: Visit, address: str) -> None:
    """Also where the tokens are those of another head's keys: self-attention has one stack on both sides."""
    page = visited.page
    open_at(page, f"{address}/heads?kind=encoder&text=The+dog+sees+the+dog.")
    click_at(page, tile_at(page, 1, 4))
    sent = len(visited.sent)
    for place in (1, 4):  # both are "dog"
        page.mouse.move(*row_at(page, place))
        expect(page.locator("html")).to_have_attribute("data-focus", str(place))
        for key in LINKED:
            assert marked_rows(page, key) == [place], key
    assert len(visited.sent) == sent


LINE = """([query, key]) => { // a quarter of the way along a line, where no label is, and none asked for cross
  const gd = document.querySelector(".st-key-lines .js-plotly-plot"), box = gd.getBoundingClientRect()
  const mark = gd.layout.meta.focus.find(one => one.axis === "lines"), { xaxis, yaxis } = gd._fullLayout
  const y = mark.left[query] + 0.25 * (mark.right[key] - mark.left[query])
  return [box.left + xaxis._offset + xaxis.l2p(0.25), box.top + yaxis._offset + yaxis.l2p(y)]
}"""


def test_a_line_under_the_pointer_shows_its_row_everywhere(visited: Visit) -> None:
    page, sent = visited.page, len(visited.sent)
    page.evaluate(CLOCK)
    weights = shown(page)["weights"]
    for query in (3, 8, 2):  # rows whose strongest weight is no other row's
        key = max(range(len(weights[query])), key=lambda i: weights[query][i])
        page.mouse.move(*page.evaluate(LINE, [query, key]))
        assert_focused(page, query)
        strong = page.locator(".st-key-lines .head-lines line.strong")
        assert strong.count() == sum(weight >= 0.02 for weight in weights[query])
        assert page.evaluate("window.followed") < 250
    page.mouse.move(640, 4)
    assert_focused(page, 1)
    assert len(visited.sent) == sent
    click_at(page, page.evaluate(LINE, [3, 1]))
    page.mouse.move(640, 4)
    assert_agrees(page, 0, 3, row=3)
