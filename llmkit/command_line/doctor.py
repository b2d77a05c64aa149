"""`llmkit doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-m", "--model", metavar="NAME", help="check this model instead of the default")
    output.add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run all checks and print what they found."""
    from llmkit.core.bridge import bridge
    from llmkit.notebook.commands.doctor import findings

    found = bridge.run(findings(options.model))
    if options.json:
        output.print_json(
            [{"name": one.name, "ok": one.ok, "text": output.shell_words(one.text)} for one in found]
        )
        return
    for one in found:
        output.say(output.shell_words(str(one)))
