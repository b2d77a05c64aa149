"""`llmkit models`: the models that are offered, with their prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse

    from llmkit.notebook.model_list import ListedModel


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("word", nargs="?", default="", help="list only models with this in their name")
    output.add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Print the models."""
    from llmkit.notebook.model_list import lacks, price_list, prices_note

    found = price_list(options.word)
    if options.json:
        output.print_json([{**one._asdict(), "lacks": lacks(one.name.partition(":")[0])} for one in found])
        return
    output.print_table([_row(one, lacks(one.name.partition(":")[0])) for one in found])
    output.note(prices_note())


def _row(one: ListedModel, lacks: str) -> dict[str, Any]:
    return {
        "model": one.name,
        "alias": ", ".join(one.aliases),
        "input $/M": _rate(one.input),
        "cached $/M": _rate(one.cached),
        "output $/M": _rate(one.output),
        "price from": one.source,
        "needs": lacks.replace("no key", "a key").replace("local server", "a local server"),
    }


def _rate(usd: float | None) -> str:
    return "" if usd is None else f"{usd:g}"
