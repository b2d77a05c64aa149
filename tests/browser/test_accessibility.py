"""Answers and comparisons can be read and reached by everybody: axe-core in a browser, light and dark."""

from __future__ import annotations

import pytest

from llmkit.notebook.compare.comparison import Comparison
from llmkit.notebook.compare.drawing import final
from llmkit.notebook.display.footer import Footer
from llmkit.notebook.display.markdown.render import page, render
from tests.support.lab import FLAGS, chromium, violations
from tests.unit.notebook.test_compare import answer, failed

pytestmark = pytest.mark.browser

RICH = """# Report

A [link](https://example.org), `code`, **bold**, ~~gone~~ and a note[^1].

- [ ] open
- [x] done

| left | right |
|:-----|------:|
| a rather long cell that does not fit into a narrow column | 22 |

```python
@cache
def f(x: int) -> str:  # a comment
    return f"{x + 1}" + "a very long line that scrolls sideways, because it is longer than a column is wide"
```

```diff
- old
+ new
```

> A quotation.

[^1]: The note.
"""
THEMES = {
    "light": ("true", "#fff", "rgba(0,0,0,.87)", "rgba(0,0,0,.54)"),
    "dark": ("false", "#111", "rgba(255,255,255,.87)", "rgba(255,255,255,.54)"),
}
"""Ground, text and muted text of JupyterLab's own themes."""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


def show(browser, html, theme):
    light, ground, text, mute = THEMES[theme]
    tab = browser.new_page(viewport={"width": 800, "height": 900})
    tab.set_content(
        f"<html lang=en><title>x</title><body data-jp-theme-light={light} "
        f"style='background:{ground};color:{text};"
        f"--jp-ui-font-color2:{mute}'><main>{html}</main>"
    )
    return tab


def test_the_check_sees_what_is_wrong(browser):
    tab = show(browser, "<img src='data:,x'><p style='color:#ddd'>pale</p>", "light")
    assert {found.split(":")[0] for found in violations(tab, "main")} == {"image-alt", "color-contrast"}
    tab.close()


@pytest.mark.parametrize("theme", THEMES)
def test_an_answer_and_a_comparison_have_no_serious_violation(browser, theme):
    footer = Footer(facts=("sonnet", "$0.0056"), warning="stopped at max tokens", note="A sentence.")
    four = Comparison([answer("a"), failed("b", text=RICH), answer("c"), answer("d")])
    html = page(render(RICH), footer.html, cut=True) + final(four)["text/html"]
    tab = show(browser, html, theme)
    assert violations(tab, "main") == []
    tab.close()
