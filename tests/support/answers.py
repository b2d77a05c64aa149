"""Stores of answers by their place, in tests and in the processes that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.core.postgres import Address, is_address
from llmkit.frames.answers.postgres.postgres_answers import PostgresAnswers
from llmkit.frames.answers.sqlite import SqliteAnswers
from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import AnswerStore


def open_answers(place: str) -> AnswerStore:
    """Open the store in a file, in a PostgreSQL database or, as `:memory:`, in this process."""
    if is_address(place):
        return PostgresAnswers(Address(place))
    return SqliteAnswers(None if place == ":memory:" else Path(place))


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that may import `tests`."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=unmeasured() | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
