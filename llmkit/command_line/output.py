"""What commands print: tables and JSON to standard output, notes and errors to standard error."""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    import pandas as pd

MONEY = {"cost_usd": "cost", "saved_usd": "saved", "usd": "cost"}
"""Columns of dollars, and how a table calls them."""

_MAGIC = re.compile(r"%llm (?=(?:budget|cost|doctor|jobs|key|models|trust)\b)")
"""Subcommands of the magic that are commands here, too."""


def prepare() -> None:
    """Make pipes UTF-8, whatever the locale; what cannot be written becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def forget_reader() -> None:
    """Let what is still buffered go nowhere: the reader of standard output has left."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # no file, as in a test
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add the option `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def coloured(text: str, colour: Literal["red", "pale"], stream: TextIO) -> str:
    """Return a text in a colour where the terminal has colours and the user wants them.

    Example:
        >>> coloured("late", "red", io.StringIO())
        'late'
    """
    from llmkit.notebook.display.terminal_colors import PALE, PLAIN, RED, can_erase

    start = RED if colour == "red" else PALE
    return f"{start}{text}{PLAIN}" if text and can_erase(stream) else text


def say(text: object) -> None:
    """Print a line to standard output."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Print to standard output, at once; a terminal gets no control characters of models and servers."""
    sys.stdout.write(_plain(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a note to standard error."""
    if text:
        sys.stderr.write(f"{coloured(_plain(shell_words(text)), 'pale', sys.stderr)}\n")
        sys.stderr.flush()


def complain(command: str, error: Exception) -> None:
    """Print an error to standard error: one sentence, and the next step."""
    from llmkit.core.redaction import redact
    from llmkit.notebook.display.error_messages import error_text

    said = error_text(error)
    if isinstance(error, OSError) and error.filename:
        said = f"{error.filename}: {error.strerror}"
    head = coloured(f"llmkit {command}:", "red", sys.stderr)
    sys.stderr.write(f"{head} {_plain(redact(shell_words(said)))}\n")
    sys.stderr.flush()


def shell_words(text: str) -> str:
    """Return a message in the words of a shell: there are no magics here.

    Example:
        >>> shell_words("Check the key: %llm doctor.")
        'Check the key: llmkit doctor.'
    """
    return _MAGIC.sub("llmkit ", text).replace("%env LLMKIT_", "LLMKIT_")


def print_json(value: Any) -> None:
    """Print a value as JSON, readable by people, too."""
    say(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as JSON."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame for JSON: times as ISO 8601, `null` for what is unknown."""
    text = frame.to_json(orient="records", date_format="iso", double_precision=15)
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as an aligned table, without columns that are empty."""
    for line in table(rows):
        say(line)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as the lines of a table; texts are to the left, numbers to the right.

    Example:
        >>> table([{"model": "luna", "calls": 12, "cost_usd": 0.031}, {"model": "opus", "calls": 1}])
        ['model  calls  cost', 'luna      12  $0.031', 'opus       1  $?']
    """
    names = [name for name in (rows[0] if rows else ()) if any(_said(row.get(name)) for row in rows)]
    columns = [_column(name, [row.get(name) for row in rows]) for name in names]
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _column(name: str, values: list[Any]) -> list[str]:
    cells = [MONEY.get(name, name.replace("_", " ")), *(_cell(name, value) for value in values)]
    width = max(map(len, cells))
    counts = all(isinstance(value, int) for value in values if _said(value))
    return [f"{cell:>{width}}" if counts else f"{cell:<{width}}" for cell in cells]


def _said(value: Any) -> bool:
    """Whether a cell says something: neither unknown, nor empty, nor a count of nothing."""
    return bool(value) or isinstance(value, float)


def _cell(name: str, value: Any) -> str:
    from llmkit.core.money import format_money

    if name in MONEY:
        return format_money(value)
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


def _finite(value: Any) -> Any:
    """Return a value without NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(text: str) -> str:
    from llmkit.notebook.display.plain_text import plain, printable

    return plain(printable(text))
