"""`llmkit dashboard`: the dashboard as an HTML page, written to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.command_line import filters, output

if TYPE_CHECKING:
    import argparse

FILE = "llm-costs.html"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "by", nargs="?", default="model", metavar="BY", help="what the chart groups by, as in cost"
    )
    parser.add_argument("-o", "--out", default=FILE, metavar="FILE", help=f"the file (default: {FILE})")
    parser.add_argument("--metric", default="cost", help="cost, calls, tokens, errors, saved, duration, …")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    filters.add_filters(parser)


def run(options: argparse.Namespace) -> None:
    """Write the page, and say where it is."""
    from llmkit.costs.ledger import ledger

    chosen: dict[str, Any] = filters.filters_of(options)
    chosen |= {
        name: value[0] for name, value in chosen.items() if isinstance(value, list) and len(value) == 1
    }
    board = ledger.dashboard(options.by, options.metric, **chosen)
    try:
        page = board.to_html()
    finally:
        board.close()
    path = Path(options.out)
    # Tags may say more than other users of the machine should read.
    with os.fdopen(
        os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(page)
    output.say(path)
    if options.open:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())
