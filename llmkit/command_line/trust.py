"""`llmkit trust`: lists, adds or revokes addresses in project files that may receive your keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse

REVOKE = "revoke"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: those of the magic."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[revoke] URL",
        help="the address, with all paths below it; revoke takes it back; without one, all are listed",
    )


def run(options: argparse.Namespace) -> None:
    """Change the list, and print it."""
    from llmkit.clients.credentials.trust import trust
    from llmkit.core.errors import ConfigurationError

    words = options.words or []
    revoke = words[:1] == [REVOKE]
    urls = words[revoke:]
    if len(urls) > 1 or (revoke and not urls):
        raise ConfigurationError("llmkit trust takes one address.", hint="Write llmkit trust [revoke] URL.")
    for url in trust(*urls, revoke=revoke):
        output.say(url)
