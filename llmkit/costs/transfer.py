"""Copies of calls from one store to another: each call once, however often it is run.

A call is known by its time and identifier, as everywhere. A corrected call is copied as it was first, and its
corrections are made again, so that the other store has their notes, too. Where the user may not correct
calls, it is copied with its corrected price, without notes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from llmkit.core.errors import ConfigurationError
from llmkit.costs.store.filters import Filters
from llmkit.costs.store.protocol import NOTES, SOURCE, Change
from llmkit.costs.store.rows import COLUMNS, TIME, UID, decode
from llmkit.records import CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llmkit.costs.store.protocol import Store
    from llmkit.costs.store.rows import Row
    from llmkit.records import CallRecord

PAGE = 5_000
"""Calls that are read, and committed, at a time."""

WAIT = 60.0
"""Seconds that the target has to commit a page."""

STATUS = list(COLUMNS).index("status")

Key = tuple[int, str]
"""What a call is known by: its time and its identifier."""

_ENDED = frozenset(get_args(CallStatus)) - {"lost"}  # a lost call may still have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy did.

    Attributes:
        copied: Number of calls that were copied.
        known: Number of calls that the target had already.
        corrections: Number of corrections of prices that were made again.
        left_out: Number of corrections that the target does not have, because only its administrators may
            correct calls: calls copied now have their corrected prices, those known before keep theirs.
    """

    copied: int = 0
    known: int = 0
    corrections: int = 0
    left_out: int = 0

    def __repr__(self) -> str:
        there = f", {self.known:,} were there already" if self.known else ""
        more = f"; {_counted(self.corrections, 'correction')} copied" if self.corrections else ""
        if self.left_out:
            more += (
                f"; {_counted(self.left_out, 'correction')} not copied, because only administrators of that"
                " ledger may correct calls: new calls have their corrected prices"
            )
        return f"{_counted(self.copied, 'call')} copied{there}{more}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


class Note(NamedTuple):
    """A note of a correction; see `protocol.NOTES`."""

    corrected: int
    time: int
    uid: str
    provider: str | None
    model: str | None
    what: str
    old_nanos: int | None
    old_source: str | None
    old_date: str | None
    new_nanos: int | None
    new_source: str | None
    new_date: str | None
    reason: str | None
    run: str

    @property
    def change(self) -> Change:
        """The change that made this note."""
        before = self.old_source if self.what == SOURCE else None
        return Change(
            self.time,
            self.uid,
            self.what,
            self.old_nanos,
            self.new_nanos,
            self.new_source,
            self.new_date,
            before,
        )


assert Note._fields == NOTES


def copy(
    source: Store, target: Store, choice: Filters, progress: Callable[[Copied], object] = lambda _: None
) -> Copied:
    """Copy the calls that pass filters, and their corrections.

    Args:
        source: Where they are.
        target: Where they are to be, too.
        choice: The filters.
        progress: Called after each page.

    Returns:
        What was done.

    Raises:
        ConfigurationError: If both are the same store, one cannot be read, or the target cannot be written
            now; what was copied stays.
    """
    if source is target or source.name == target.name != ":memory:":
        raise ConfigurationError(
            f"The calls are in {target.name} already.", hint="Name another ledger to copy them to."
        )
    notes = [Note(*row) for row in source.corrections()]
    may_correct = not notes or target.may_correct()
    originals = _originals(notes) if may_correct else {}
    done, seen = Copied(), set[Key]()
    for rows in _pages(source, choice):
        new = _unknown(rows, target)
        _append(target, (_first(row, originals) for row in new))
        # Pages that are read again after a change have calls that were counted before.
        copied, known = _unseen(new, seen), _unseen(rows, seen)
        done = replace(done, copied=done.copied + copied, known=done.known + known)
        progress(done)
    if may_correct:
        return replace(done, corrections=_correct(target, notes))
    return replace(done, left_out=sum((note.time, note.uid) in seen for note in _new(target, notes)))


def _unseen(rows: Iterable[Row], seen: set[Key]) -> int:
    """Return how many rows are new here, and note them."""
    before = len(seen)
    seen.update((row[TIME], row[UID]) for row in rows)
    return len(seen) - before


def _pages(store: Store, choice: Filters) -> Iterator[list[Row]]:
    """Yield the rows in pages, without their `id`; begin anew if rows change meanwhile."""
    after, epoch = 0, None
    while True:
        page = store.read(after, PAGE, choice)
        if epoch not in {None, page.epoch}:
            after, epoch = 0, None
            continue
        epoch, after = page.epoch, page.last
        if page.rows:
            yield [row[1:] for row in page.rows]
        if not page.more:
            return


def _unknown(rows: list[Row], target: Store) -> list[Row]:
    """Return the rows that the target does not have, or only as lost."""
    times = [row[TIME] for row in rows]
    pages = target.select(Filters(since=min(times), until=max(times) + 1))
    there = {(row[TIME], row[UID]): row[STATUS] for row in chain.from_iterable(pages)}
    return [row for row in rows if there.get((row[TIME], row[UID])) not in {row[STATUS], *_ENDED}]


def _append(target: Store, records: Iterable[CallRecord]) -> None:
    futures = [target.append(record) for record in records]
    target.flush(WAIT)
    if not all(future.done() and future.result() for future in futures):
        raise ConfigurationError(
            f"{target.name} cannot be written now.", hint="Run it again: calls that are there stay."
        )


def _originals(notes: Sequence[Note]) -> dict[Key, dict[str, Any]]:
    """Return what corrected calls had before their first corrections, by the names of `CallRecord`."""
    found: dict[Key, dict[str, Any]] = {}
    for note in notes:
        if note.what == SOURCE:
            values: dict[str, Any] = {SOURCE: note.old_source}
        elif note.what == "at_most_nanos":  # a bound has no source of its own
            values = {note.what: note.old_nanos}
        else:
            values = {note.what: note.old_nanos, "price_source": note.old_source, "price_date": note.old_date}
        found[note.time, note.uid] = {**values, **found.get((note.time, note.uid), {})}  # the first one wins
    return found


def _first(row: Row, originals: dict[Key, dict[str, Any]]) -> CallRecord:
    """Return a call as it was before it was corrected."""
    record = decode(row)
    values = originals.get((row[TIME], row[UID]))
    return record if values is None else replace(record, **values)


def _new(target: Store, notes: Sequence[Note]) -> list[Note]:
    """Return the notes that the target does not have."""
    there = (Note(*row) for row in target.corrections())
    done = {(note.run, note.time, note.uid, note.what) for note in there}
    return [note for note in notes if (note.run, note.time, note.uid, note.what) not in done]


def _correct(target: Store, notes: Sequence[Note]) -> int:
    """Make the corrections that the target does not have, in order; return their number."""
    count = 0
    for (run, reason), group in groupby(_new(target, notes), lambda note: (note.run, note.reason)):
        count += target.correct([note.change for note in group], run=run, reason=reason)
    return count
