"""How an answer of each format is shown: as it streams, and in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llmkit.notebook.display.markdown.render import render, sanitise
from llmkit.notebook.display.plain_text import printable
from llmkit.notebook.request import fenced

MAX_ROWS = 60
"""Rows of a table that are shown; of a longer one its beginning and its end."""

MAX_COLUMNS = 30
"""Columns of a table that are shown."""

READ = frozenset({"json", "df", "code"})
"""Formats whose answers are read, and stand for a value."""

_FENCE = "~" * 12
_LANGUAGES = {"text": "text", "json": "json", "df": "json", "code": "python"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A finished answer as it is shown."""

    text: str
    html: str | None = None  # safe HTML; `None` renders the text as Markdown


def opening(form: str) -> str:
    """Return what the text of a streaming answer is to follow, so that it is shown as what it is."""
    language = _LANGUAGES.get(form)
    return "" if language is None else f"{_FENCE}{language}\n"


def shown(form: str, text: str, value: Any) -> Output:
    r"""Return how a finished answer is shown.

    Example:
        >>> shown("json", '{"a":1}', {"a": 1}).text
        '{\n  "a": 1\n}'
    """
    if form == "df":
        return Output(text=value.to_string(max_rows=MAX_ROWS, max_cols=MAX_COLUMNS), html=_table(value))
    if form == "json":
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    elif form == "code":
        text = value
    elif form == "md":
        return Output(text=text)
    return Output(text=text, html=render(fenced(text, _LANGUAGES[form])))


def _table(frame: Any) -> str:
    """Return the frame's own HTML, as far as it is safe."""
    html = frame.to_html(max_rows=MAX_ROWS, max_cols=MAX_COLUMNS, border=0, escape=True, show_dimensions=True)
    return sanitise(f'<div class="llmkit-table" tabindex="0">{printable(html)}</div>')
