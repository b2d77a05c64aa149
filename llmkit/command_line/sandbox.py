"""`llmkit sandbox`: serves the sandbox in the foreground, as `python -m llmkit.sandbox` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from llmkit.sandbox.__main__ import add_arguments

    add_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from llmkit.sandbox.__main__ import serve

    serve(options)
