"""`llmkit jobs`: the jobs over tables whose answers are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.command_line import output

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    output.add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Print the jobs, the latest first."""
    from llmkit.frames import jobs

    found = output.records(jobs())
    if options.json:
        output.print_json(found)
    elif found:
        output.print_table(found)
    else:
        output.note("No jobs so far: the answers of df.llm in Python are stored as jobs.")
