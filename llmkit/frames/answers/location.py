"""Which store of answers a process uses: the one beside its ledger, in a file or in its database."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.costs.ledger import ledger
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.frames.answers.unkept import Unkept

if TYPE_CHECKING:
    from llmkit.core.postgres import Address
    from llmkit.costs.ledger import Ledger
    from llmkit.frames.answers.protocol import AnswerStore

SUFFIX = ".answers.sqlite"
MEMORY = ":memory:"

_open: dict[Path | Address | None, AnswerStore] = {}
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
    return store_at(place_of(ledger))


def store_at(place: Path | Address | None) -> AnswerStore:
    """Return this process's store in a file or in a database; `None` for one in memory."""
    with _lock:
        if place not in _open:
            _open[place] = _opened(place)
        return _open[place]


def place_of(books: Ledger) -> Path | Address | None:
    """Return where the answers of a ledger are: beside it; `None` for memory, if it is there, too."""
    if books.database is not None:
        return books.database
    place = books.path
    return answers_path(place) if isinstance(place, Path) and place.name != MEMORY else None


def _opened(place: Path | Address | None) -> AnswerStore:
    if place is None or isinstance(place, Path):
        return SqliteAnswers(place)
    from llmkit.frames.answers.postgres.postgres_answers import PostgresAnswers

    store = PostgresAnswers(place)
    atexit.register(store.close)
    return store
