"""Looks at the rules of a ledger after calls, on a thread of its own: no call waits for them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmkit.core import forks
from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.alerting.announcer import LEASE, Announcement, logger, names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.costs.alerting.announcer import Announcer, Target
    from llmkit.costs.alerting.rule import Finding, Rule
    from llmkit.costs.ledger import Ledger
    from llmkit.records import CallRecord

PAUSE = 1.0
"""Least seconds between two looks; calls in between are looked at together."""


@dataclass(frozen=True, slots=True, eq=False)
class _Watched:
    """A rule, and what gets its alerts."""

    rule: Rule
    targets: tuple[Target, ...]


class Watcher(forks.ForkAware):
    """Looks at the rules of one ledger."""

    def __init__(self, ledger: Ledger, announcer: Callable[[], Announcer]) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._watched: tuple[_Watched, ...] = ()
        self.in_child()
        forks.watch(self)

    def in_child(self) -> None:
        """Reset: the thread is the parent's. The rules stay."""
        self._lock = threading.RLock()
        self._due = self._running = False
        # By the name of an alert: when it may be sent again (in the time of `time.monotonic`), and shown
        # again (microseconds).
        self._quiet: dict[tuple[Any, ...], float] = {}
        self._shown: dict[tuple[Any, ...], int] = {}

    def add(self, rules: list[Rule], targets: tuple[Target, ...]) -> Callable[[], None]:
        """Watch some rules; return a function that removes them."""
        added = tuple(_Watched(rule, targets) for rule in rules)

        def stop() -> None:
            with self._lock:
                self._watched = tuple(each for each in self._watched if each not in added)

        with self._lock:
            self._watched += added
        return stop

    def notice(self, _record: CallRecord) -> None:
        """Have the rules looked at, because a call has ended."""
        if not self._watched:
            return
        with self._lock:
            self._due = True
            if self._running:
                return
            self._running = True
        # Not a daemon: the alert of a script's last call must be sent, too.
        thread = threading.Thread(target=self._run, name="llmkit-alerts", daemon=False)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            self._run()

    def _run(self) -> None:
        """Look until no call has ended since the last look."""
        try:
            while self._is_due():
                self._look_and_rest()
        except BaseException:
            self._running = False  # the next call starts another thread
            raise

    def _look_and_rest(self) -> None:
        start = time.monotonic()
        try:
            self._look()
        except ConfigurationError as error:
            logger.info("Cannot look at the alerts' rules: %s", error)
        # A slow look, over many rows with a tag, is repeated less often. The wait ends with the main thread,
        # because the program ends then.
        if threading.current_thread() is not threading.main_thread():
            threading.main_thread().join(max(PAUSE, 5 * (time.monotonic() - start)))

    def _is_due(self) -> bool:
        with self._lock:
            due, self._due = self._due, False
            self._running = due
            return due

    def _look(self) -> None:
        now = datetime.now(UTC)
        for watched in self._watched:
            if (finding := watched.rule.look(self._ledger, now)) is not None:
                self._announce(finding, watched.targets)

    def _announce(self, finding: Finding, targets: tuple[Target, ...]) -> None:
        name, time_found = names_of(finding.name, targets), micros(finding.alert.time)
        if time_found >= self._shown.get(name, 0):
            self._shown[name] = finding.until
            logger.warning("%s", finding.alert)
            self._announcer().show([finding.alert])
        if time.monotonic() >= self._quiet.get(name, 0.0):
            sent = self._announcer().send(
                Announcement(alert=finding.alert, name=finding.name, until=finding.until, targets=targets)
            )
            seconds = (finding.until - time_found) / 10**6 if sent else LEASE
            self._quiet[name] = time.monotonic() + seconds
