"""`llmkit export`: the calls as CSV, JSON lines or Parquet, or copied into another ledger."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.command_line import filters, output
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from llmkit.costs.calls import Calls
    from llmkit.costs.ledger import Ledger

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "excel"}
"""Formats by the endings of files."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", nargs="?", help="the file; without one, calls go to standard output")
    parser.add_argument(
        "--format",
        choices=sorted(set(FORMATS.values())),
        help="by default the one of the file's ending, else jsonl: JSON, one call a line",
    )
    parser.add_argument(
        "--to", metavar="LEDGER", help="copy into this ledger instead, each call once; run again to go on"
    )
    filters.add_filters(parser)
    parser.add_argument("--json", action="store_true", help="print the numbers of a copy as JSON")


def run(options: argparse.Namespace) -> None:
    """Write or copy the calls."""
    from llmkit.costs.ledger import ledger

    calls = ledger.where(**filters.filters_of(options))
    if options.to:
        _copy(calls, options)
    elif options.file is None:
        _print(calls, options.format or "jsonl")
    else:
        _write(calls, Path(options.file), options.format)


def _copy(calls: Calls, options: argparse.Namespace) -> None:
    if options.file or options.format:
        raise ConfigurationError("--to takes neither a file nor --format.", hint="Leave one of them out.")
    done = calls.copy_to(options.to)
    # Who moves some calls keeps the others here, and the answers with them.
    answers = 0 if filters.filters_of(options) else _copy_answers(calls.ledger, options.to)
    if options.json:
        numbers = {"copied": done.copied, "known": done.known, "corrections": done.corrections}
        numbers["left_out"] = done.left_out
        output.print_json({**numbers, "answers": answers})
    else:
        output.say(f"{done}; {answers:,} answer{'s' * (answers != 1)} of tables copied" if answers else done)


def _copy_answers(ledger: Ledger, to: str) -> int:
    """Copy the answers of tables beside another ledger; return their number."""
    from llmkit.costs.ledger import Ledger
    from llmkit.frames.answers import location, moving

    with closing(Ledger(to)) as other:
        source, target = location.place_of(ledger), location.place_of(other)
    if source is None or target is None:
        return 0
    return moving.copy(location.store_at(source), location.store_at(target))


def _write(calls: Calls, path: Path, form: str | None) -> None:
    from llmkit.costs.frame.files import write_json_lines

    form = form or FORMATS.get(path.suffix.lower())
    if form is None:
        raise ConfigurationError(
            f"The format of {path.name} is not clear.",
            hint=f"End it in {', '.join(FORMATS)}, or give --format.",
        )
    if form == "jsonl":
        write_json_lines(calls.df, path)
        return
    write: Any = {"csv": calls.to_csv, "parquet": calls.to_parquet, "excel": calls.to_excel}[form]
    write(path)


def _print(calls: Calls, form: str) -> None:
    from llmkit.costs.frame.files import json_lines

    if form in {"parquet", "excel"}:
        raise ConfigurationError(f"{form} is written to a file only.", hint="Give a file name.")
    frame = calls.df
    text = frame.to_csv(index=False) if form == "csv" else json_lines(frame)
    sys.stdout.write(text)
