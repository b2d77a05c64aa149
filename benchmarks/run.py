"""Measure llmkit: `python benchmarks/run.py [calls|first|streams|tables|ledger|…|all] [--quick]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from measure import Row, save, show

BENCHMARKS = {
    "calls": "wire",
    "first": "wire",
    "streams": "wire",
    "tables": "tables",
    "batches": "batch_files",
    "limits": "limits",
    "imports": "imports",
    "ledger": "ledger_rows",
    "watching": "watching",
    "scale": "scale",
    "postgres": "shared_ledger",
    "charts": "charts",
    "render": "rendering",
}
"""Where each benchmark is: a function of its name."""

_FOREIGN = ("LLM", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, "all"], default="all", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, a smaller ledger")
    parser.add_argument("--rows", type=int, metavar="N", help="rows of `scale`, e.g. 10000000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    chosen = [name for name in BENCHMARKS if name in options.names or "all" in options.names]
    for name in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
        del os.environ[name]  # nothing may lead a contestant elsewhere
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, load {load}\n")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLMKIT_LEDGER"] = str(Path(folder) / "ledger.sqlite")
        for name in chosen:
            print(f"{name}: {_summary(name)}")
            more = {"rows": options.rows} if name == "scale" else {}
            found = getattr(importlib.import_module(BENCHMARKS[name]), name)(quick=options.quick, **more)
            show(found)
            rows += found
        if "llmkit" in sys.modules:
            importlib.import_module("llmkit").ledger.close()
    if options.json:
        save(rows, options.json)


def _summary(name: str) -> str:
    return {
        "calls": "CPU of the client's process per plain call",
        "first": "CPU of a process that makes one call, from its start to its end",
        "streams": "CPU of the client's process per chunk of a burst of 2,000",
        "tables": "rows per CPU second, and their memory",
        "batches": "CPU per row of a batch's files",
        "limits": "what a batch leaves unused of rate limits, and how often it is refused after 100 answers",
        "imports": "CPU of a process, over one without llmkit",
        "ledger": "CPU per row, and to load all rows",
        "watching": "CPU of hooks and spans per call",
        "scale": "CPU and memory of a large ledger, each in a process of its own",
        "postgres": "a ledger in PostgreSQL; CPU of the caller for a row, time for the rest",
        "charts": "CPU to draw a chart and its picture, the rows being there",
        "render": "CPU of an answer that streams into a notebook, and bytes on the wire",
    }[name]


if __name__ == "__main__":
    main()
