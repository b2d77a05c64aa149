"""How alerts are announced: shown in this process, and sent to each target once for all processes.

Before an alert is sent, its name is claimed in the store for some minutes, and then for its whole period.
Of many processes one sends it, and if that one dies or fails, another one may.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.alerting.webhook import Webhook, WebhookError

if TYPE_CHECKING:
    from llmkit.costs.store.protocol import Store

Target: TypeAlias = Callable[[Any], object]
"""What gets an alert: a function, or a `Webhook`."""

Targets: TypeAlias = Target | str | Sequence[Target | str]
"""As users give them: an address may be its text, and there may be several."""

LEASE = 120
"""Seconds that a process has for sending an alert; more than all attempts of a webhook take."""

logger = logging.getLogger("llmkit.costs.budgets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An alert on its way.

    Attributes:
        alert: The alert.
        name: What tells it apart from other alerts, for all processes.
        until: End of the time in which it is not said again (microseconds).
        targets: What gets it.
    """

    alert: Any
    name: tuple[Any, ...]
    until: int
    targets: tuple[Target, ...] = field(repr=False)


class Announcer:
    """Announces the alerts of one ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._unseen: list[Any] = []

    def show(self, alerts: Sequence[Any]) -> None:
        """Keep alerts for display in this process."""
        with self._lock:
            self._unseen += alerts

    def take(self) -> list[Any]:
        """Return the alerts since the last time."""
        with self._lock:
            alerts, self._unseen = self._unseen, []
        return alerts

    def start(self, announcements: Sequence[Announcement]) -> None:
        """Log and send on another thread, because either may be slow."""
        # Not a daemon: the alert of a script's last call may have to be sent by mail.
        thread = threading.Thread(
            target=self._announce, args=(announcements,), name="llmkit-alerts", daemon=False
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            self._announce(announcements)

    def send(self, announcement: Announcement) -> bool:
        """Send an alert to its targets; false if one did not take it, or another process is at it."""
        targets = announcement.targets
        pairs = zip(names_of(announcement.name, targets), targets, strict=True)
        sent = [self._send(announcement.alert, announcement.until, name, target) for name, target in pairs]
        return all(sent)

    def _announce(self, announcements: Sequence[Announcement]) -> None:
        for announcement in announcements:
            logger.warning("%s", announcement.alert)
            self.send(announcement)

    def _send(self, alert: Any, until: int, name: str, target: Target) -> bool:
        owner = uuid.uuid4().hex
        if not self._claim(name, owner, micros(datetime.now(UTC)) + LEASE * 10**6):
            return False
        try:
            target(alert)
        except WebhookError as error:  # its traceback would say nothing
            logger.warning("An alert was not sent: %s", error)
            return False
        except Exception:  # a callback's error must not stop the other alerts
            logger.exception("The callback for budget alerts failed: %r", target)
            return False
        return self._claim(name, owner, until)

    def _claim(self, name: str, owner: str, expires: int) -> bool:
        try:
            return self._store.claim(name, owner=owner, expires=expires)
        except ConfigurationError as error:  # better said twice than never
            logger.debug("Cannot ask whether an alert was sent already: %s", error)
            return True


def targets_of(given: Targets | None) -> tuple[Target, ...]:
    """Return the targets that a user gave.

    Example:
        >>> targets_of(["https://hooks.example.com/T0/secret", print])
        (Webhook(https://hooks.example.com/…), <built-in function print>)
    """
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence):
        given = [given]
    return tuple(Webhook(each) if isinstance(each, str) else _callable(each) for each in given)


def _callable(target: Target) -> Target:
    if callable(target):
        return target
    raise ConfigurationError(
        f"An alert goes to a function or an address, got {type(target).__name__}.",
        hint='Pass a function, "https://…", or a list of them.',
    )


def names_of(name: tuple[Any, ...], targets: Sequence[Target]) -> tuple[str, ...]:
    """Return what is stored for an alert to each target: nothing can be read from it.

    Targets that look alike, such as two lambdas, are told apart by their order.
    """
    whose = [_identity(target) for target in targets]
    numbered = [[name, each, whose[:place].count(each)] for place, each in enumerate(whose)]
    texts = [json.dumps(each, default=str).encode() for each in numbered]
    return tuple(hashlib.blake2b(text, digest_size=16).hexdigest() for text in texts)


def _identity(target: Any) -> str:
    """Return what tells a target from others in every process, where a function has another identity."""
    if isinstance(target, Webhook):
        return target.identity
    while isinstance(target, partial):
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"
