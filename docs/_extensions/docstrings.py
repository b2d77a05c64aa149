"""Our docstrings as reST: what Markdown has in fences is code, and a colon in a sentence is only that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
BEFORE_NAPOLEON = 100
VALUES = frozenset({"attribute", "data", "property"})
EMPTY_COMMENT = ["..", ""]


def fences_to_blocks(lines: list[str]) -> list[str]:
    """Return the lines with reST code blocks in place of fenced ones."""
    done, inside = [], False
    for line in lines:
        found = FENCE.match(line)
        if found and not inside:
            done += ["", f"{found[1]}.. code-block:: {found[2] or 'text'}", ""]
        elif found:
            done.append("")
        else:
            done.append(f"    {line}" if inside and line.strip() else line)
        inside ^= found is not None
    return done


def convert(_app: Sphinx, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place."""
    lines[:] = fences_to_blocks(lines)
    if what in VALUES and lines:
        lines[:0] = EMPTY_COMMENT  # napoleon takes what stands before a colon in the first line for a type


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect with autodoc, before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", convert, priority=BEFORE_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
