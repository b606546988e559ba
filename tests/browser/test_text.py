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
