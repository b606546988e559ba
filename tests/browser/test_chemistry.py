"""Chemistry in Chromium: pointing at an atom tints the atoms that it looks at, and its line stands out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from model.catalog.store import local_folder
from model.structures.molecules import can_draw
from model.structures.reaction import bundled
from tests.browser.driving import DESKTOP, PHONE, needs_chromium, visit

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(local_folder("rxnmapper") is None, reason="run `python -m model.catalog get rxnmapper` first"),
    pytest.mark.skipif(not can_draw(), reason="RDKit is missing: pip install -r requirements-apps.txt"),
]
SMILES = next(one.smiles for one in bundled() if one.name == "amide")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_atom_shows_where_it_comes_from(address: str, browser: Browser, size: dict[str, int]) -> None:
    path = f"chemistry?model=rxnmapper&text={quote(SMILES)}"
    with visit(browser, address, path, shows=".molecules .atom", viewport=size) as visited:
        page = visited.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".molecules .atom").count() == 29
        assert page.locator(".molecules .arc").count() == 14
        line = page.locator(".molecules .arc").nth(4)
        product, reactant = (line.get_attribute("data-places") or "").split()
        page.locator(f'.molecules .atom[data-place="{product}"]').hover()
        page.wait_for_function(f"document.documentElement.dataset.focus === '{product}'")
        assert "on" in (line.get_attribute("class") or "").split()
        tint = page.locator(f'.molecules .atom[data-place="{reactant}"]').evaluate(
            'one => Number(one.style.getPropertyValue("--tint"))'
        )
        assert tint > 0.9
        assert page.locator(f'.read-text [data-place="{product}"]').get_attribute("data-focused") is not None
