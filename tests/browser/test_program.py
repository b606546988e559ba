"""Programs in Chromium: arcs stand beside their lines, follow the choice of what they join, and answer the pointer."""

from __future__ import annotations

from urllib.parse import urlencode

from playwright.sync_api import expect

from tests.browser.driving import Visit, needs_chromium
from tests.serving import settle

pytestmark = needs_chromium
CODE = "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total"


def test_arcs_stand_beside_their_lines_and_answer_the_pointer(visited: Visit, address: str) -> None:
    page = visited.page
    page.goto(f"{address}/program?{urlencode({'kind': 'encoder', 'text': CODE, 'relation': 'name'})}")
    expect(page.locator(".gutter path")).to_have_count(3)
    settle(page)
    box, text = page.locator(".gutter svg").bounding_box(), page.locator(".read-text.code").bounding_box()
    assert box
    assert text
    assert box["x"] >= text["x"]
    assert box["x"] + box["width"] < page.locator(".read-token").first.bounding_box()["x"]  # type: ignore[index]
    assert abs(box["y"] + box["height"] - text["y"] - text["height"]) < 20  # as tall as its lines
    sent = len(visited.sent)
    place = page.locator(".gutter path").last.get_attribute("data-places").split()[0]  # type: ignore[union-attr]
    page.locator(f'.read-token[data-place="{place}"]').hover()
    expect(page.locator(".gutter path.on")).to_have_count(1)
    assert len(visited.sent) == sent
    page.locator(".st-key-relation").get_by_text("Indented lines").click()
    expect(page.locator(".gutter path")).to_have_count(4)
