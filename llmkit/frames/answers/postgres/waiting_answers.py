"""Answers that wait in a local file while their server is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core.waiting import waiting_file
from llmkit.frames.answers.sqlite import SqliteAnswers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llmkit.frames.answers.protocol import Answer

GROUP = 500
"""Answers sent to the server at once."""


def waiting_path(name: str) -> Path:
    """Return the file of the answers of this user and machine that wait for a server."""
    return waiting_file("waiting", name, ".answers.sqlite")


class WaitingAnswers:
    """The answers that wait for one server, of all processes of this user.

    Args:
        path: The file; it exists only while answers wait or have waited.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = SqliteAnswers(path)

    def add(self, answers: Sequence[Answer]) -> None:
        """Keep answers.

        Raises:
            ConfigurationError: If they cannot be written here, either.
        """
        self._store.write(answers)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Return those of some requests that wait."""
        return self._store.get(keys)

    def send(self, write: Callable[[Sequence[Answer]], None]) -> None:
        """Write what waits elsewhere, and let go of it; other processes may do the same at the same time."""
        while answers := self._store.oldest(GROUP):
            write(answers)
            self._store.remove(answers)

    def close(self) -> None:
        """Close the file."""
        self._store.close()
