"""The writing thread: callers queue rows, and one thread commits them in groups.

It also runs jobs, such as a reservation, in order with the rows. It is independent of the database: a store
passes the function that commits rows, and the jobs.

Intents of calls are written by the same thread when they are due, also if no row comes.

Rows of a group share a future, so that a group costs one notification. While several callers queue rows,
the thread waits `LINGER` for more rows before it commits.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections import Counter, deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmkit.costs.store.pending import PendingIntents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.costs.store.rows import Row
    from llmkit.records import CallIntent

T = TypeVar("T")

CHUNK = 1000
"""Maximum number of rows in a transaction, so that retrying a failed one is cheap."""

LINGER = 0.004
"""Seconds to wait for more rows after a group of several; a single caller never waits.

While a call's row waits, its intent is due, so that both share a commit."""

FATE = "They are kept in memory and written later, but lost if this process ends first."
"""What happens to rows that cannot be written now."""

logger = logging.getLogger(__name__)


class LedgerWarning(UserWarning):
    """Calls cannot be written at the moment; they are kept in memory."""


def warn(text: str) -> None:
    """Issue a warning; never raises."""
    try:
        # Without a registry, so that a second outage with the same text warns again.
        warnings.warn_explicit(text, LedgerWarning, "llmkit.ledger", 1)
    except LedgerWarning:
        logger.warning(text)  # warnings are errors here, but recording must not raise


class Job(Generic[T]):
    """Other work on the writing thread.

    Attributes:
        future: The result or exception of the work.
    """

    def __init__(self, work: Callable[[str | None], T]) -> None:
        self._work = work
        self.future: Future[T] = _uncancellable()

    def run(self, problem: str | None) -> Callable[[], None]:
        """Do the work; return the function that completes the future."""
        try:
            result = self._work(problem)
        except Exception as error:  # noqa: BLE001 - whatever it is: the callers wait for this thread
            return partial(self.future.set_exception, error)
        return partial(self.future.set_result, result)


def _uncancellable() -> Future[Any]:
    """Return a future that cannot be cancelled, e.g. by cancelling the task that awaits it."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def _done(result: bool) -> Future[bool]:  # noqa: FBT001 - the value itself
    future: Future[bool] = Future()
    future.set_result(result)
    return future


COMMITTED, REFUSED = _done(True), _done(False)  # noqa: FBT003 - as above
"""Futures of a row that is committed already, and of what is no row."""


class _WakeUp:
    """An event that wakes the writing thread, once for all rows that come until it runs."""

    def __init__(self) -> None:
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._is_set = False
        self._is_urgent = False

    def set(self) -> None:
        """Wake the thread, unless it is about to check anyway."""
        if not self._is_set:
            self._is_set = True
            self._tokens.put(True)  # noqa: FBT003 - a token

    def set_urgent(self) -> None:
        """Wake the thread, even if it waits for more rows."""
        self._is_set = self._is_urgent = True
        self._tokens.put(True)  # noqa: FBT003 - a token

    def close(self) -> None:
        """Make the thread end after it has written the rows queued so far."""
        self._tokens.put(False)  # noqa: FBT003 - a token

    def wait(self, seconds: float | None) -> bool:
        """Wait for work, at most for some seconds; return whether to continue afterwards."""
        try:
            return self._tokens.get(timeout=seconds)
        except Empty:
            return True

    def linger(self) -> bool:
        """Wait briefly for more rows; return whether to continue afterwards."""
        if self._is_urgent:
            return True
        try:
            return self._tokens.get(timeout=LINGER)
        except Empty:
            return True

    def clear(self) -> None:
        """Note that the thread is about to look: whoever hands over a row from now on sets it again."""
        self._is_set = self._is_urgent = False


class Writer:
    """Commits rows in order and in groups, on its own thread.

    A row stays in memory until it is committed. If a commit fails, the future is `False`, one warning is
    issued, and the row is retried with the next row or flush.
    """

    def __init__(
        self,
        commit: Callable[[list[Row]], None],
        name: str,
        *,
        what: str = "calls to the ledger",
        fate: str = FATE,
    ) -> None:
        self._fate = fate
        self._commit = commit
        self._name = name
        self._what = what
        self.reset()

    def reset(self) -> None:
        """Reset to an empty queue, in a forked child."""
        # Appending to a deque and putting into a SimpleQueue are safe even if the garbage collector or
        # a signal makes the same thread do it twice at once; a lock here could wait for itself.
        self._fresh: deque[tuple[Row | Job[Any] | None, Future[bool]]] = deque()
        self._group: Future[bool] = _uncancellable()
        self._taken: deque[tuple[Row | Job[Any] | None, Future[bool]]] = deque()
        self._members: Counter[Future[bool]] = Counter()
        self._crowded = False
        self._wake_up = _WakeUp()
        self.intents = PendingIntents()
        self._expects = False  # whether the thread looks for intents by itself
        self._kept: list[Row] = []
        self._moving = threading.RLock()
        self.writing = threading.RLock()
        self._thread: threading.Thread | None = None
        self._inline = False
        self._problem: str | None = None
        self._unreported: str | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._problem is not None

    def failure(self) -> str:
        """Return how many rows are not written, and why."""
        count = len(self.unwritten())
        calls = "1 call" if count == 1 else f"{count:,} calls"
        why = f": {self._problem.rstrip('.')}" if self._problem else ""
        return f"{calls} could not be written to the ledger {self._name}{why}."

    def has_work(self) -> bool:
        """Return whether rows or jobs are queued or being written."""
        return bool(self._fresh or self._taken or self._kept)

    def run(self, work: Callable[[str | None], T]) -> Future[T]:
        """Queue other work after the rows queued so far; never blocks, never raises."""
        job = Job(work)
        self.submit(job)
        return job.future

    def intend(self, intent: CallIntent) -> None:
        """Queue an intent; never blocks, never raises. `commit` takes it from `intents`."""
        self.intents.add(intent)
        if not self._expects:
            self._expects = True
            self._wake(_WakeUp.set)

    def submit(self, row: Row | Job[Any] | None) -> Future[bool]:
        """Queue a row; never blocks, never raises."""
        future = self._queued(row)
        if isinstance(row, tuple):
            self._wake(_WakeUp.set)
        else:  # it is awaited, possibly by a call that was not sent yet
            self._wake(_WakeUp.set_urgent)
        self.tell()
        return future

    def _queued(self, row: Row | Job[Any] | None) -> Future[bool]:
        """Append a row, and return the future of its group.

        The group's future is replaced as soon as one of its rows is taken. If it is still the same after a
        row was appended, the row is therefore taken with it; else the group may have been acknowledged
        already, and a future of the row's own is appended after it.
        """
        if isinstance(row, tuple):
            group = self._group
            self._fresh.append((row, group))
            if group is self._group:
                return group
            row = None
        future = _uncancellable()
        self._fresh.append((row, future))
        return future

    def _wake(self, signal: Callable[[_WakeUp], None]) -> None:
        """Get the queue written: by the thread, or here if no thread can start."""
        while self._thread is not None or self._start():
            wake_up = self._wake_up
            signal(wake_up)
            if wake_up is self._wake_up:  # else the thread has to end, and may not have seen it yet
                return
        self._write()

    def flush(self, timeout: float | None = None) -> bool:
        """Write the queue; return whether all of it is committed."""
        if not self.unwritten():
            return True
        if threading.current_thread() is self._thread:  # a callback of one of our own futures
            self._write()
            return not self.unwritten()
        future = self.submit(None)
        try:
            return future.result(timeout)
        except TimeoutError:
            return False
        finally:
            self.tell()

    def unwritten(self) -> list[Row]:
        """Return the rows that are not known to be committed, oldest first."""
        with self._moving:
            waiting = [*self._taken, *self._fresh.copy()]
            return self._kept + [row for row, _ in waiting if isinstance(row, tuple)]

    def discard(self, *, before: int | None, column: int) -> int:
        """Drop rows that could not be written; return their number."""
        with self.writing, self._moving:
            stay = [] if before is None else [row for row in self._kept if row[column] >= before]
            count = len(self._kept) - len(stay)
            self._kept = stay
            return count

    def stop(self, timeout: float | None = None, *, inline: bool = False) -> bool:
        """Write the queue and end the thread; the next row starts another.

        Args:
            timeout: Seconds to wait for the thread, which an absent server may hold in a commit.
            inline: Whether later rows are written by their callers.

        Returns:
            Whether everything is committed.
        """
        end = math.inf if timeout is None else monotonic() + timeout

        def left() -> float:
            return min(max(end - monotonic(), 0.0), threading.TIMEOUT_MAX)

        self.flush(timeout)
        self._inline = inline
        wake_up, self._wake_up = self._wake_up, _WakeUp()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            wake_up.close()
            thread.join(left())
        self._expects = False
        self.intents.hurry()
        # What was queued while the thread ended.
        if (self._fresh or self.intents.due() == 0) and self.writing.acquire(timeout=left()):
            try:
                self._write()
            finally:
                self.writing.release()
        return not self.unwritten()

    def tell(self) -> None:
        """Issue a pending warning on the caller's thread, where a notebook shows it."""
        text, self._unreported = self._unreported, None
        if text is not None:
            warn(text)

    def _start(self) -> bool:
        """Start the thread if needed; return whether it runs."""
        with self._moving:
            if self._inline or self._thread is not None:
                return not self._inline
            thread = threading.Thread(
                target=self._run, args=(self._wake_up,), name="llmkit-ledger", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down, or there are no threads left
                return False
            self._thread = thread
            return True

    def _run(self, wake_up: _WakeUp) -> None:
        going = True
        while going:
            going = wake_up.wait(self._until_due())
            if going and self._crowded:
                going = wake_up.linger()
            wake_up.clear()
            if self._fresh or self._until_due() == 0:
                self._write()

    def _until_due(self) -> float | None:
        """Return the seconds until an intent has to be written; `None` if there is none, or writing fails."""
        if self._problem is not None:  # tried again with the next row
            return None
        self._expects = False  # before the look: who adds an intent after it wakes the thread
        seconds = self.intents.due()
        self._expects = seconds is not None
        return seconds

    def _write(self) -> None:
        """Write the queue: the rows up to a job, then the job, and so on."""
        while True:
            with self.writing:
                futures, job = self._take()
                written = self._drain()
                tell = job.run(self._problem) if job is not None else None
            self._settle(futures, written=written)
            if tell is not None:
                tell()
            if not (self._fresh or self._taken):
                return

    def _take(self) -> tuple[list[Future[bool]], Job[Any] | None]:
        """Take rows up to a job; return the futures of the groups that end with them, and the job."""
        ended = []
        before = len(self._kept)
        with self._moving:
            self._collect()
            while self._taken:
                row, future = self._taken.popleft()
                self._members[future] -= 1
                if not self._members[future]:
                    del self._members[future]
                    ended.append(future)
                if isinstance(row, Job):
                    return ended, row
                if row is not None:
                    self._kept.append(row)
            if taken := len(self._kept) - before:  # a commit of intents alone says nothing about rows
                self._crowded = taken > 1
        return ended, None

    def _collect(self) -> None:
        """Move the queue to `_taken`, and count the rows of each group."""
        while self._fresh:
            entry = self._fresh.popleft()
            self._taken.append(entry)
            self._members[entry[1]] += 1
            if entry[1] is self._group:  # rows queued from now on belong to another group
                self._group = _uncancellable()

    def _drain(self) -> bool:
        while self._kept or self.intents.due() == 0:
            chunk = self._kept[:CHUNK]
            try:
                self._commit(chunk)
            except Exception as error:  # noqa: BLE001 - whatever it is: the callers wait for this thread
                self._fail(error)
                return False
            with self._moving:
                del self._kept[: len(chunk)]
        if self._problem:
            logger.info("The %s %s is writable again.", self._what.rpartition(" ")[2], self._name)
        self._problem = self._unreported = None
        return True

    def _fail(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if self._problem is None:  # once per outage, even if its reason changes
            self._unreported = f"Cannot write {self._what} {self._name}: {reason.rstrip('.')}. {self._fate}"
        self._problem = reason

    @staticmethod
    def _settle(futures: Iterable[Future[bool]], *, written: bool) -> None:
        for future in futures:
            with suppress(InvalidStateError):  # a row was appended just as its group was taken: see `_queued`
                future.set_result(written)
