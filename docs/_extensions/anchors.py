"""Links of notebooks, as they are on the site.

Links within a notebook have JupyterLab's anchors, the site has those of GitHub: `#A-word,` is `#a-word`. The
dashboard is an app; the site has a section about it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"\]\(#([^)]+)\)")


def anchor(name: str) -> str:
    """Return GitHub's form of one of JupyterLab's anchors."""
    return re.sub(r"[^\w-]", "", name.lower())


def rewrite(_app: Sphinx, page: str, source: list[str]) -> None:
    """Rewrite the links of a notebook, before it is read."""
    if page.startswith("notebooks/"):
        source[0] = source[0].replace("](dashboard.ipynb)", "](../guides/costs.md#dashboard)")
        source[0] = LINK.sub(lambda found: f"](#{anchor(found[1])})", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect with the reading of pages."""
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
