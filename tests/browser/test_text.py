"""Reading in Chromium: pointing at a word tints what it looks at, without the server; arrow keys go on from there."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.driving import Visit, go, needs_chromium
from tests.serving import settle

pytestmark = needs_chromium
TINTS = """stack => [...document.querySelectorAll(`.read-token[data-stack="${stack}"]`)].map(one =>
  [Number(one.style.getPropertyValue("--tint")), Number(one.style.getPropertyValue("--under"))])"""


def tints(page: Page, stack: str, column: int) -> list[float]:
    return [pair[column] for pair in page.evaluate(TINTS, stack)]


def test_pointing_at_a_word_tints_and_underlines_without_the_server(visited: Visit) -> None:
    page = visited.page
    go(page, "See", "Reading")
    page.locator(".read-token").first.wait_for()
    settle(page)
    sent = len(visited.sent)
    output = page.locator('.read-token[data-stack="decoder"]')
    output.nth(2).hover()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.dataset.focus") == "2"
    shaded = tints(page, "encoder", 0)
    assert max(shaded) > 0.9  # its strongest look is drawn in full
    assert not any(tints(page, "decoder", 1))
    said = page.locator(".text-said").inner_text()
    page.locator('.read-token[data-stack="encoder"]').nth(shaded.index(max(shaded))).hover()
    page.wait_for_timeout(300)
    assert tints(page, "decoder", 1)[2] > 0.9  # the other way round
    assert not any(tints(page, "encoder", 0))
    assert page.locator(".text-said").inner_text() != said
    assert len(visited.sent) == sent
    output.nth(2).focus()
    page.keyboard.press("ArrowRight")
    expect(output.nth(3)).to_be_focused()
    assert page.evaluate("document.documentElement.dataset.focus") == "3"


PLACES = """() => [...document.querySelectorAll('.read-token[data-stack="encoder"]')].map(one => {
  const box = one.getClientRects()[0]
  return [Math.round(box.bottom), (box.left + box.right) / 2]
})"""


def test_arrow_keys_go_from_line_to_line_and_change_layer_and_head_elsewhere(visited: Visit) -> None:
    page = visited.page
    words = "Tom saw the red car. He stopped, and the other car stopped, too, because it was a very old one. " * 2
    page.locator(".st-key-sentence textarea").fill(f"One.\n{words}")
    page.locator(".st-key-sentence textarea").press("Enter")
    settle(page)
    go(page, "See", "Reading")
    tokens = page.locator('.read-token[data-stack="encoder"]')
    tokens.first.wait_for()
    settle(page)

    def focused() -> int:
        return int(page.evaluate("document.activeElement.dataset.place ?? -1"))

    places = page.evaluate(PLACES)
    lines = sorted({line for line, _ in places})
    assert len(lines) > 3
    start = next(i for i, (line, across) in enumerate(places) if line == lines[2] and across > places[0][1] + 60)
    tokens.nth(start).focus()
    went = [start]
    for key in ("ArrowDown", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
        went.append(focused())
    assert [places[one][0] for one in went] == [lines[2], lines[3], lines[2], lines[1]]
    for one in went[1:]:  # the nearest of its line
        others = [abs(across - places[start][1]) for line, across in places if line == places[one][0]]
        assert abs(places[one][1] - places[start][1]) == min(others)
    assert went[2] == start
    for _ in lines:
        page.keyboard.press("ArrowUp")
    assert places[focused()][0] == lines[0]
    layer = page.locator(".st-key-step_layer").inner_text()
    sent = len(visited.sent)
    page.keyboard.press("ArrowRight")
    assert len(visited.sent) == sent  # in the text the keys are the text's
    page.locator("h1").first.click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".st-key-step_layer")).not_to_have_text(layer)
