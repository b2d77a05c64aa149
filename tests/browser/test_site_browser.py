"""The built documentation in a browser: everybody can read it, at every width, light and dark.

`$SITE` is the folder of the built site, by default `site`; without one the tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.lab import FLAGS, chromium, violations

SITE = Path(os.environ.get("SITE") or Path(__file__).parents[2] / "site").absolute()
PAGES = ("guides/costs", "guides/providers", "guides/compare")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.full,
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the documentation is not built"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def tab(browser):
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 380)])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_serious_violation_and_does_not_scroll_sideways(tab, page, theme, width):
    tab.emulate_media(color_scheme=theme)
    tab.goto((SITE / f"{page}.html").as_uri())
    tab.set_viewport_size({"width": width, "height": 900})  # after it was loaded, as a reader does it
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(tab, "body") == []


def test_a_chart_has_a_text_for_readers_who_do_not_see_it(tab):
    tab.goto((SITE / "guides/costs.html").as_uri())
    said = tab.locator(".cell_output img").first.get_attribute("alt")
    assert said.startswith("claude-opus-5-5 took 54 % of $26.34. Spent per day, by model; ")


def test_a_table_that_is_wider_than_the_page_scrolls_in_its_place(tab):
    tab.set_viewport_size({"width": 380, "height": 900})
    tab.goto((SITE / "guides/providers.html").as_uri())
    table = tab.locator(".table-wrapper").first
    assert table.evaluate("place => place.scrollWidth > place.clientWidth && place.tabIndex === 0")
    table.evaluate("place => { place.scrollLeft = 10_000 }")
    last = tab.locator("table").first.locator("th").last
    assert last.evaluate("cell => cell.getBoundingClientRect().right <= innerWidth")


def test_a_streamed_answer_stands_on_one_line(tab):
    tab.goto((SITE / "notebooks/quickstart.html").as_uri())
    printed = tab.locator(".cell_output pre", has_text="Mercury, Venus, Earth")
    assert "There are 8 planets" in printed.first.inner_text()
