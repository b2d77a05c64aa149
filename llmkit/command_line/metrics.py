"""`llmkit metrics`: serves the ledger's metrics for Prometheus, until interrupted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llmkit.command_line import output
from llmkit.metrics import HOST, PORT

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--port", type=int, default=PORT, help="the port; 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        default=HOST,
        help="the address to listen on; 0.0.0.0 for all of this machine's (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from llmkit.metrics import serve

    with serve(options.port, options.host) as server, suppress(KeyboardInterrupt):
        output.say(server.url)
        server.wait()
