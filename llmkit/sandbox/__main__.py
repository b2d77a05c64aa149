"""Serve the sandbox in the foreground: `python -m llmkit.sandbox --port 8765`."""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError
from llmkit.sandbox.loopback import FIRST_TOKEN, RATE, SandboxServer
from llmkit.sandbox.mounts import NOTE

if TYPE_CHECKING:
    from llmkit.sandbox.dialects.dialect import ProtocolName

_EXPORTS: tuple[tuple[str, str, ProtocolName], ...] = (
    ("OPENAI_BASE_URL", "OPENAI_API_KEY", "openai"),
    ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "anthropic"),
    ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY", "google"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server to a parser."""
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--rate", type=float, default=RATE, help="tokens per second, 0: all at once")
    parser.add_argument(
        "--first-token", type=float, default=FIRST_TOKEN, help="seconds before the first text"
    )
    parser.add_argument("--fault", default="", help="specification for every answer")
    parser.add_argument("--requests-per-minute", type=int, help="rate limit for each key and model")
    parser.add_argument("--tokens-per-minute", type=int, help="the same for tokens")


def banner(server: SandboxServer) -> str:
    """Describe a server: its address, and the environment variables that select it."""
    lines = ["The llmkit sandbox is listening. Stop it with Ctrl+C.", ""]
    for base, key, protocol in _EXPORTS:
        lines += [f"export {base}={server.url(protocol)}", f"export {key}=sandbox"]
    return "\n".join([*lines, "", NOTE, ""])


def serve(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    server = SandboxServer(
        port=options.port,
        rate=options.rate,
        first_token=options.first_token,
        fault=options.fault,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
    )
    with server, suppress(KeyboardInterrupt):
        sys.stdout.write(banner(server))
        sys.stdout.flush()
        threading.Event().wait()


def main(words: list[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m llmkit.sandbox", description=NOTE)
    add_arguments(parser)
    options = parser.parse_args(words)
    try:
        serve(options)
    except ConfigurationError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
