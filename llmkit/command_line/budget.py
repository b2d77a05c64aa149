"""`llmkit budget`: shows the budgets, or sets some."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse

    from llmkit.costs.budgets.budget import Budget


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "changes",
        nargs="*",
        metavar="[NAME=]USD",
        help="5 (US dollars a day), per_call=0.10, per_notebook=2, unpriced=allow; off instead of an amount"
        " removes a limit, and off alone removes all",
    )
    output.add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Set what is given, and print the budgets."""
    from llmkit.costs.budgets.budget import budget
    from llmkit.costs.budgets.typed import read_changes

    state = budget(**read_changes(options.changes))
    if options.json:
        output.print_json(values(state))
    else:
        output.say(state)


def values(state: Budget) -> dict[str, Any]:
    """Return budgets and their use for JSON, by the names of `Budget`."""
    found = {each.name: getattr(state, each.name) for each in fields(state) if not each.name.startswith("_")}
    return {**found, "resets": state.resets.isoformat()}
