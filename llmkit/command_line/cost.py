"""`llmkit cost`: what calls cost, in total and by group."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from llmkit.command_line import filters, output

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from llmkit.costs.sums import Total

PERIODS = {"hour": 13, "day": 10, "week": 10, "month": 7}
"""Groups that are times, and how many characters of ISO 8601 they need: a week is its first day."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "by",
        nargs="*",
        metavar="BY",
        help="a column (model, provider, notebook, status, …), hour, day, week, month, job, or tag:NAME;"
        " several group by all of them (default: model)",
    )
    filters.add_filters(parser)
    form = parser.add_mutually_exclusive_group()
    output.add_json(form)
    form.add_argument("--csv", action="store_true", help="print the groups as CSV")


def run(options: argparse.Namespace) -> int:
    """Print the costs, and return the exit code."""
    from llmkit.command_line.main import USAGE
    from llmkit.core.errors import ConfigurationError
    from llmkit.costs.calls import check_columns
    from llmkit.costs.ledger import ledger

    by, chosen = options.by or ["model"], filters.filters_of(options)
    store = ledger.flushed_store()
    try:
        check_columns(store, by)
    except ConfigurationError as error:
        output.complain("cost", error)
        return USAGE
    _print(options, by, chosen)
    return 0


def _print(options: argparse.Namespace, by: list[str], chosen: dict[str, Any]) -> None:
    from llmkit.costs.ledger import ledger

    summary = ledger.summary(by, **chosen)
    if options.csv:
        output.write(summary.to_csv())
        return
    today = ledger.total(since=filters.point_in_time("today"))
    total = ledger.total(**chosen)
    if options.json:
        shape = {"total": amounts(total), "by": by, "groups": _groups(summary)}
        output.print_json({"today": amounts(today), **shape})
        return
    output.say(f"Today: {today}")
    output.say(f"{_period(options)}: {total}")
    if len(summary):
        output.say("")
        output.print_table(_rows(summary))


def amounts(total: Total) -> dict[str, Any]:
    """Return a total for JSON."""
    return {
        "calls": total.calls,
        "cost_usd": None if math.isnan(total.usd) else total.usd,
        "estimated": total.estimated,
        "unpriced": total.unpriced,
        "saved_usd": total.saved_usd,
        "simulated_calls": total.simulated_calls,
        "left_out": total.left_out,
    }


def _period(options: argparse.Namespace) -> str:
    since = f" since {options.since}" if options.since else ""
    until = f" until {options.until}" if options.until else ""
    return f"Calls{since}{until}" if since or until else "All calls"


def _rows(summary: pd.DataFrame) -> list[dict[str, Any]]:
    from llmkit.core.money import format_money

    return [
        {
            **{str(name): _label(row[str(name)]) for name in summary.index.names},
            "calls": row["calls"],
            "errors": row["errors"],
            "input tokens": row["input_tokens"],
            "output tokens": row["output_tokens"],
            "cost": format_money(row["cost_usd"], about=row["estimated"] > 0),
            "unpriced": row["unpriced"],
            "saved": format_money(row["saved_usd"]) if row["saved_usd"] else "",
        }
        for row in _groups(summary)
    ]


def _groups(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the groups; periods are written as far as they are exact, in local time."""
    rows = output.records(summary.reset_index())
    for row in rows:
        row |= {name: row[name][:length] for name, length in PERIODS.items() if row.get(name)}
    return rows


def _label(value: Any) -> str:
    return "none" if value is None else str(value)
