"""Uses and the list of models in Chromium: licences are readable before a download, and an offer opens its model."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import DESKTOP, PHONE, needs_chromium, settle, type_sentence, visit

pytestmark = needs_chromium
CLIPPED = """selector => [...document.querySelectorAll(selector)]
  .filter(one => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)
  .map(one => one.innerText)"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_no_licence_is_cut_off_in_the_list_of_models_or_on_a_card(
    size: dict[str, int], browser: Browser, address: str
) -> None:
    with visit(browser, address, "uses", shows=".st-key-use_more_video button", viewport=size, locale="de") as visited:
        page = visited.page
        assert not page.evaluate(CLIPPED, ".st-key-uses_cards button p")
        page.locator(".st-key-model input").first.click()
        options = page.get_by_role("option")
        expect(options.first).to_be_visible()
        for _ in range(3):  # lines come as they are scrolled to
            assert not page.evaluate(CLIPPED, "[role=option] > div")
            page.get_by_role("listbox").evaluate("list => list.scrollBy(0, 280)")
            page.wait_for_timeout(300)
        expect(options.filter(has_text="TimeSformer")).to_contain_text("nicht kommerziell nutzbar")


def test_an_offer_opens_its_model_on_its_page_and_what_was_typed_stays(browser: Browser, address: str) -> None:
    typed = "total = 0\nfor value in values:\n    total += value\nprint(total)"
    with visit(browser, address, "heads?model=describe") as visited:
        page = visited.page
        type_sentence(page, typed)
        page.locator(".st-key-kind_open button").click()
        expect(page.locator("h1")).to_contain_text("Programs")
        settle(page)
        expect(page.locator(".st-key-sentence textarea")).to_have_value(typed)
        expect(page.locator(".st-key-kind_notice")).to_have_count(0)
