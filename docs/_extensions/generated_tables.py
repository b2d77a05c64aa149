"""The directive `{table-of} NAME`: tables that are made from the code, so that they cannot differ from it."""

from __future__ import annotations

import re
from functools import partial
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from llmkit import metrics
from llmkit.command_line import main as command_line
from llmkit.core import catalog, errors, settings
from llmkit.costs.frame.frame import COLUMNS
from llmkit.notebook.cell.help import options_table
from llmkit.notebook.cell.subcommands import COMMANDS
from llmkit.notebook.defaults import Defaults
from llmkit.records import CallRecord
from llmkit.sandbox import faults

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from sphinx.application import Sphinx

DOLLARS = {"cost_usd": "cost_nanos", "saved_usd": "saved_nanos", "at_most_usd": "at_most_nanos"}
"""Columns of the frame that the record has in nano-dollars."""

FOUND = frozenset({"projects"})
"""Fields of the settings that nobody sets."""


def table(*rows: Iterable[str]) -> str:
    """Return rows as a Markdown table; the first one is its head."""
    head, *rest = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return "\n".join([head, re.sub(r"[^|]+", "---", head.replace("\\|", "")), *rest])


def attributes(documented: type) -> dict[str, str]:
    """Return the attributes of a class and their meaning, from its docstring."""
    section = cleandoc(documented.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.split(r"\n {4}(?=\w+:)", f"\n{section}")[1:]
    return {name: " ".join(text.split()) for name, _, text in (entry.partition(":") for entry in entries)}


def subcommands() -> str:
    """Return the subcommands of `%llm`."""
    return table(
        ("subcommand", "meaning"), *((f"`{form.usage(n)}`", form.help) for n, form in COMMANDS.items())
    )


def defaults() -> str:
    """Return the options of `%config LLMMagics`."""
    traits = sorted(Defaults.class_own_traits(config=True).items())
    return table(
        ("name", "meaning", "default"), *((f"`{n}`", t.help, f"`{t.default()!r}`") for n, t in traits)
    )


def setting_names() -> str:
    """Return the settings, with their environment variables."""
    return table(
        ("setting", "meaning"),
        *((f"`{n}`", m) for n, m in attributes(settings.Settings).items() if n != "projects"),
    )


def ledger_columns() -> str:
    """Return the columns of `ledger.df`."""
    meanings = attributes(CallRecord)
    rows = (
        (name, meanings[DOLLARS.get(name, name)].replace("nano-dollars", "US dollars")) for name in COLUMNS
    )
    return table(("column", "meaning"), *((f"`{name}`", meaning) for name, meaning in rows))


def providers() -> str:
    """Return the providers of the catalogue."""
    rows = [
        (
            f"`{one.name}`",
            ", ".join(f"`{name}`" for name in one.key_env) or "none",
            one.base_url or "",
            ", ".join(f"`{name}`" for name in one.base_url_env),
            f"`{one.models[0]}`" if one.models else "",
        )
        for one in catalog.providers().values()
        if not one.superseded_by
    ]
    return table(
        ("name", "variables for the key", "server", "variables for the server", "default model"), *rows
    )


def model_aliases() -> str:
    """Return the aliases of models that llmkit has."""
    return table(("alias", "model"), *((f"`{n}`", f"`{model}`") for n, model in catalog.aliases().items()))


def error_tree() -> str:
    """Return the tree of errors as the module draws it."""
    return "```text\n" + (errors.__doc__ or "").split("```")[1].strip("\n") + "\n```"


def faults_table() -> str:
    """Return the faults of the sandbox as their module lists them."""
    return "\n".join(line for line in (faults.__doc__ or "").splitlines() if line.startswith("|"))


def metrics_table() -> str:
    """Return the metrics of the Prometheus endpoint."""
    rows = (
        (f"`{each.sample}`", each.kind, ", ".join(f"`{name}`" for name in each.labels), each.help)
        for each in metrics.METRICS
    )
    return table(("metric", "type", "labels", "meaning"), *rows)


def command(name: str) -> str:
    """Return the arguments of a command of the command line."""
    parser = command_line.parser_of(name)
    arguments = [one for one in parser._actions if one.dest != "help"]  # noqa: SLF001 - there is no public list
    rows = [(f"`{_usage(one)}`", (one.help or "") % {**vars(one), "prog": parser.prog}) for one in arguments]
    return table(("argument", "meaning"), *rows)


def _usage(argument: argparse.Action) -> str:
    value = argument.metavar or "|".join(argument.choices or ()) or argument.dest.upper()
    if not argument.option_strings:
        return str(argument.metavar or argument.dest)
    names = ", ".join(argument.option_strings)
    return names if argument.nargs == 0 else f"{names} {value}"


def exit_codes() -> str:
    """Return what the exit codes of the command line mean."""
    return table(("exit code", "meaning"), *((str(n), text) for n, text in command_line.EXIT_CODES.items()))


TABLES: dict[str, Callable[[], str]] = {
    "options": options_table,
    "subcommands": subcommands,
    "defaults": defaults,
    "settings": setting_names,
    "ledger-columns": ledger_columns,
    "providers": providers,
    "aliases": model_aliases,
    "errors": error_tree,
    "faults": faults_table,
    "metrics": metrics_table,
    "exit-codes": exit_codes,
    **{f"command-{name}": partial(command, name) for name in command_line.COMMANDS},
}


class TableOf(SphinxDirective):
    """Insert one of the tables."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table, parsed as the page is."""
        place = nodes.container()
        lines = TABLES[self.arguments[0]]().splitlines()
        self.state.nested_parse(StringList(lines, source=f"{self.arguments[0]} (generated)"), 0, place)
        return place.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("table-of", TableOf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
