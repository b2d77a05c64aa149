"""Which store of answers a process uses: the one beside its ledger."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.costs.ledger import ledger
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.frames.answers.unkept import Unkept

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import AnswerStore

SUFFIX = ".answers.sqlite"
MEMORY = ":memory:"

_open: dict[Path | None, SqliteAnswers] = {}
_lock = threading.Lock()


def answers_path(of_ledger: Path) -> Path:
    """Return the path of the answers of a ledger.

    Example:
        >>> answers_path(Path("ledger.sqlite")).name
        'ledger.answers.sqlite'
    """
    return of_ledger.with_name(of_ledger.name.removesuffix(".sqlite") + SUFFIX)


def answer_store(given: bool | AnswerStore = True) -> AnswerStore:  # noqa: FBT001, FBT002 - as the option is called
    """Return the store beside the ledger; `False` for one that keeps nothing, or a store itself."""
    if given is False:
        return Unkept()
    if given is not True:
        return given
    place = ledger.path
    # A ledger in memory has its answers there, too.
    path = answers_path(place) if isinstance(place, Path) and place.name != MEMORY else None
    with _lock:
        if path not in _open:
            _open[path] = SqliteAnswers(path)
        return _open[path]
