"""`llmkit doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse

NEEDED = {"ledger", "answers", "budget"}
"""The findings of which a ✗ makes the exit code 1: calls need these, and a missing key may be meant."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-m", "--model", metavar="NAME", help="check this model instead of the default")
    output.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Run all checks, print what they found, and return the exit code."""
    from llmkit.core.bridge import bridge
    from llmkit.notebook.commands.doctor import findings

    found = bridge.run(findings(options.model))
    if options.json:
        output.print_json(
            [{"name": one.name, "ok": one.ok, "text": output.shell_words(one.text)} for one in found]
        )
    else:
        for one in found:
            output.say(output.shell_words(str(one)))
    return int(any(one.name in NEEDED and one.ok is False for one in found))
