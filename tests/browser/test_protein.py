"""Proteins in Chromium: a residue that is pointed at is marked in the sequence and on the contact map."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from model.catalog.store import local_folder
from model.structures.protein import bundled
from tests.browser.driving import DESKTOP, PHONE, needs_chromium, visit
from tests.serving import settle

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(local_folder("antiberty") is None, reason="run `python -m model.catalog get antiberty` first"),
]
CHAIN = next(chain for chain in bundled() if chain.name.startswith("Nanobody"))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_residue_is_marked_in_sequence_and_map(address: str, browser: Browser, size: dict[str, int]) -> None:
    path = f"protein?model=antiberty&text={quote(CHAIN.sequence)}"
    with visit(browser, address, path, shows=".st-key-contacts .main-svg", viewport=size) as visited:
        page = visited.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".residues .strand").count() == CHAIN.forms.count("E")
        page.locator('.residues [data-place="50"]').hover()
        page.wait_for_function("document.documentElement.dataset.focus === '50'")
        assert page.locator(".residues [data-focused]").get_attribute("data-place") == "50"
        marks = page.locator(".st-key-contacts .focus-mark")
        assert marks.count() == 2  # its row and its column
        page.locator('.residues [data-place="50"]').focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.documentElement.dataset.focus === '51'")
        page.keyboard.press("Enter")
        settle(page)
        assert "row_encoder=51" in page.url
