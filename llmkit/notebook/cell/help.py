"""Help texts of the magics, and the table of options in the documentation."""

from __future__ import annotations

import textwrap

from llmkit.notebook.cell.options import OPTIONS
from llmkit.notebook.cell.subcommands import COMMANDS

WIDTH = 100
"""Width of the full help in columns; JupyterLab breaks longer lines in the middle of a word."""

EXAMPLES = """\
%%llm                                   the lines below are the prompt
Explain asyncio in three sentences.

%%llm sonnet -o plan -v df -T 0         ask sonnet about the table df; store the reply in plan
Plan the analysis of this table.

reply = %llm name three rivers          the rest of the line is the prompt
%llm sonnet name three more             start with a model name, as in %%llm sonnet
%llm -f df list the planets and their masses in kg
%llm fix                                correct the cell that failed last"""
"""Examples at the top of the help."""

SLOTS = """\
{{name}} in a prompt is replaced by the variable; so are {{name.attribute}}, {{name['key']}},
{{name[0]}}, {{name:.2f}} and {{name!r}}. Write \\{{ for literal braces."""


def options_table() -> str:
    """Return the options as a Markdown table, for the documentation."""
    usages = [(option.usage.replace("|", "\\|"), option.help) for option in OPTIONS]
    rows = [f"| `{usage}` | {text} |" for usage, text in usages]
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def help_text() -> str:
    """Return the full help of the magics as plain text."""
    return "\n\n".join(
        [EXAMPLES, *_listed(WIDTH), SLOTS, "-- ends the options: %llm -- model trains explained"]
    )


def help_on(topic: str) -> str:
    """Return the lines of the help that mention a topic.

    Example:
        >>> print(help_on("replay").splitlines()[0].split()[:2])
        ['-r,', '--refresh']
    """
    lines = "\n".join([*_listed(), SLOTS]).splitlines()
    return "\n".join(line.strip() for line in lines if topic.lower() in line.lower())


def _listed(width: int | None = None) -> list[str]:
    """Return the options and the subcommands, one per line, or in lines of a maximum width."""
    options = [(option.usage, option.help) for option in OPTIONS]
    commands = [(form.usage(name), form.help) for name, form in COMMANDS.items()]
    return [_columns(options, 27, width), _columns(commands, 36, width)]


def _columns(rows: list[tuple[str, str]], left: int, width: int | None) -> str:
    lines = []
    for usage, text in rows:
        parts = [text] if width is None else textwrap.wrap(text, width - left - 4)
        first = f"  {usage:<{left}}  " if len(usage) <= left else f"  {usage}\n{' ' * (left + 4)}"
        lines.append(first + f"\n{' ' * (left + 4)}".join(parts))
    return "\n".join(lines)
