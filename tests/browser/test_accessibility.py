"""No page has what axe-core calls a violation, in either theme."""

from __future__ import annotations

from urllib.parse import quote

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

from model.catalog.store import local_folder
from tests.app.driving import PAGES
from tests.browser.driving import blank_page, needs_chromium
from tests.serving import settle

pytestmark = needs_chromium


COLOURS = """[getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor,
  ...[...document.querySelectorAll('.gtitle')].map(title => title.style.fill)]"""


# Elements to be replaced or still to come are drawn faint, and colours change by transitions.
STILL = """() => !document.querySelector(
    '[data-stale=true], [data-testid=stSkeleton], [data-test-script-state=running]')
  && [...document.querySelectorAll('.stPlotlyChart')].every(one => one.querySelector('.main-svg'))
  && document.getAnimations().every(one => one.effect.getComputedTiming().iterations === Infinity)"""


ALL_RULES: dict[str, object] = {}
# Those that axe-core runs by itself of its category "color": `color-contrast-enhanced` is no rule of level A or AA.
RULES_OF_COLOURS: dict[str, object] = {"runOnly": ["color-contrast", "link-in-text-block"]}


def violations(page: Page, rules: dict[str, object]) -> list[str]:
    """Violations of rules of axe-core on the current page."""
    page.wait_for_function(STILL, timeout=90_000)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    # The app makes new elements reachable by key after 50 ms (`audience.announce`).
    page.evaluate("new Promise(then => setTimeout(then, 100))")
    run = "rules => axe.run({ resultTypes: ['violations'], ...rules }).then(result => result.violations)"
    found = page.evaluate(run, rules)
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


RIGHT_TO_LEFT = quote("السيارة الحمراء توقفت.")
CODE = quote("def mean(values):\n    total = sum(values)\n    return total")
LAB = f"lab?lab_shown=1&lab_source=typed&lab_text={quote('The red car stopped.')}"
CLIP, ESTER = "video?model=moving-digits", quote("CC(=O)O.OCC>>CC(=O)OCC")
PATHS = [
    *PAGES,
    f"program?kind=encoder&text={CODE}",
    CLIP,
    "lab",
    LAB,
    "?projector=1&language=fr",
    "?lesson=04-one-head&lesson_step=4",
    f"?text={RIGHT_TO_LEFT}",
]
FETCHED = {
    "rxnmapper": f"chemistry?model=rxnmapper&text={ESTER}",
    "antiberty": "protein?model=antiberty&text=EVQLVESGGGLVQ",
}
PATHS += [path for name, path in FETCHED.items() if local_folder(name)]


def test_no_page_has_what_axe_calls_a_violation(address: str, browser: Browser) -> None:
    """Each page is opened once, checked in a light theme, and what a theme changes, its colours, in a dark one."""
    with blank_page(browser, address, kept=False) as page:
        for path in PATHS:
            page.emulate_media(color_scheme="light")
            page.goto(f"{address}/{'' if path == 'whole' else path}")
            page.locator("h1, .st-key-lesson h2").first.wait_for(timeout=60_000)
            if path == LAB:
                page.locator(".st-key-lab_ranked .main-svg").first.wait_for(timeout=60_000)
            settle(page)
            assert not violations(page, ALL_RULES), (path, "light")
            light = page.evaluate(COLOURS)
            page.emulate_media(color_scheme="dark")
            # The server has also redrawn its figures.
            page.wait_for_function(
                f"light => ({COLOURS}).every((one, i) => one !== light[i])", arg=light, timeout=30_000
            )
            settle(page)
            assert not violations(page, RULES_OF_COLOURS), (path, "dark")
