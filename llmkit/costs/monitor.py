"""Counts, rates and times of calls, and alerts when they exceed limits."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self, TypedDict

from llmkit.core.money import NANO, to_nanos
from llmkit.costs.price_rules import is_unpriced
from llmkit.records import FAILED, CallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date
    from decimal import Decimal

    from llmkit.costs.ledger import Ledger
    from llmkit.records import CallRecord

KEPT = 1000
"""Calls that a monitor keeps individually, for percentiles, windows and alerts."""

logger = logging.getLogger(__name__)


class Metrics(TypedDict):
    """The result of `LLMMonitor.get_metrics`.

    Rates are percentages of the calls that succeeded or failed; cancelled calls did neither. Times are in
    seconds, of the calls with a known time, and 0 if there are none; percentiles use the nearest rank.
    """

    total_requests: int
    successful_requests: int
    failed_requests: int
    cancelled_requests: int
    replayed_requests: int
    unpriced_requests: int
    total_tokens: int
    total_cost: float
    avg_response_time: float
    p50_response_time: float
    p95_response_time: float
    avg_first_token_time: float
    success_rate: float
    error_rate: float
    errors_by_class: dict[str, int]


class LLMMonitor:
    """Counts requests, tokens, costs and times; thread-safe.

    Args:
        keep: Number of calls to keep individually; older ones count, but not for percentiles and windows.

    Raises:
        ValueError: If `keep` is less than 1.

    Example:
        >>> monitor = LLMMonitor()
        >>> monitor.record_request(success=True, tokens=120, cost=0.25, response_time=1.5)
        >>> monitor.get_metrics()["success_rate"]
        100.0
    """

    def __init__(self, *, keep: int = KEPT) -> None:
        if keep < 1:
            raise ValueError(f"keep must be >= 1, got {keep}.")
        # Re-entrant: the garbage collector may end a stream, and so report it, while this is held.
        self._lock = threading.RLock()
        self._counts = _Counts()
        self._kept: deque[_Seen] = deque(maxlen=keep)
        self._alerts: tuple[_Alert, ...] = ()

    @classmethod
    def from_ledger(cls, ledger: Ledger, *, since: date | str | None = None, keep: int = KEPT) -> Self:
        """Count the calls in a ledger.

        Args:
            ledger: The ledger.
            since: Only calls of this time or later; a time without a zone is local.
            keep: As for the class.

        Returns:
            A monitor; `watch` makes it count later calls.

        Raises:
            ConfigurationError: If the ledger cannot be read, or the time is invalid.

        Example:
            >>> from llmkit import Ledger
            >>> LLMMonitor.from_ledger(Ledger(":memory:")).get_metrics()["total_requests"]
            0
        """
        monitor = cls(keep=keep)
        for seen in _stored(ledger, since):
            monitor._add(seen)
        return monitor

    def record_request(
        self,
        success: bool,  # noqa: FBT001 - the contract's order
        tokens: int | None = None,
        cost: float | Decimal | None = None,
        response_time: float | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        """Count one request.

        Args:
            success: Whether it succeeded.
            tokens: Total tokens; `None` if unknown.
            cost: Cost in US dollars; `None` if unknown, which counts as one of `unpriced_requests`.
            response_time: Duration in seconds; `None` if unknown, which does not count for the times.
            error: The exception, for `errors_by_class`.

        Raises:
            ValueError: If the cost is negative, infinite or not a number.
        """
        self._add(
            _Seen(
                end=datetime.now(UTC),
                status="ok" if success else "error",
                error=None if success else type(error).__name__ if error is not None else "unknown",
                tokens=tokens or 0,
                nanos=0 if cost is None else to_nanos(cost),
                unpriced=cost is None,
                seconds=response_time,
            )
        )

    def observe(self, record: CallRecord) -> None:
        """Count one recorded call; the sandbox's answers cost nothing.

        Args:
            record: The finished call. A replayed call counts as a success, but adds no tokens, cost or times.
        """
        self._add(_seen(record))

    def watch(self, ledger: Ledger) -> Callable[[], None]:
        """Count every call that this process records in a ledger from now on.

        Args:
            ledger: The ledger.

        Returns:
            A function that stops the counting.
        """
        return ledger.subscribe(self.observe)

    def get_metrics(
        self,
        *,
        last: int | None = None,
        minutes: float | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Metrics:
        """Return the counts so far, or those of a window over the kept calls.

        Args:
            last: Number of latest calls to count.
            minutes: Only calls that ended within this many minutes.
            provider: Only calls of this provider.
            model: Only calls of this model, as requested.

        Returns:
            Requests (`total_`, `successful_`, `failed_`, `cancelled_`, `replayed_`, `unpriced_requests`),
            `total_tokens`, `total_cost` in US dollars (of priced calls), `avg_`, `p50_` and
            `p95_response_time` and `avg_first_token_time` in seconds, `success_rate` and `error_rate` in
            percent, `errors_by_class`. Without requests, all are 0. Percentiles cover the kept calls only.

        Example:
            >>> LLMMonitor().get_metrics(last=100, provider="openai")["error_rate"]
            0.0
        """
        with self._lock:
            kept = list(self._kept)
            if last is None and minutes is None and provider is None and model is None:
                # The sums cover all calls, also those that are no longer kept.
                return self._counts.metrics(kept)
        chosen = [seen for seen in kept if provider in {None, seen.provider} and model in {None, seen.model}]
        return _metrics(_window(chosen, last, minutes))

    def by_model(self, *, last: int | None = None, minutes: float | None = None) -> dict[str, Metrics]:
        """Return the metrics of each model among the kept calls.

        Args:
            last: Number of latest calls to count, of all models.
            minutes: Only calls that ended within this many minutes.

        Returns:
            Metrics by `"provider:model"`, in alphabetical order.
        """
        with self._lock:
            kept = list(self._kept)
        groups: dict[str, list[_Seen]] = {}
        for seen in _window(kept, last, minutes):
            groups.setdefault(f"{seen.provider}:{seen.model}", []).append(seen)
        return {name: _metrics(groups[name]) for name in sorted(groups)}

    def alert(
        self,
        call: Callable[[Metrics], object],
        *,
        error_rate: float | None = None,
        p95_response_time: float | None = None,
        when: Callable[[Metrics], bool] | None = None,
        last: int = 100,
        at_least: int = 10,
    ) -> Callable[[], None]:
        """Call a function when the latest calls exceed a limit, and again only after they were within it.

        The function runs on the thread where the last call ended and must be quick. Its exceptions are
        logged. Every alert is also logged as a warning.

        Args:
            call: The function; it gets the metrics of the latest calls.
            error_rate: Maximum `error_rate`, in percent.
            p95_response_time: Maximum `p95_response_time`, in seconds.
            when: Your own condition on the metrics.
            last: Number of latest calls to evaluate.
            at_least: Minimum number of calls, because one failure in one call is not a rate.

        Returns:
            A function that removes the alert.

        Raises:
            ValueError: If no limit is given, or the monitor keeps fewer calls.

        Example:
            >>> monitor = LLMMonitor()
            >>> stop = monitor.alert(print, error_rate=20, last=50)
            >>> stop()
        """
        if error_rate is None and p95_response_time is None and when is None:
            raise ValueError("An alert needs a limit: error_rate=, p95_response_time= or when=.")
        if not 1 <= at_least <= last <= (self._kept.maxlen or 0):
            raise ValueError(
                f"1 <= at_least <= last <= {self._kept.maxlen} must hold, got at_least={at_least} and"
                f" last={last}. Keep more calls with LLMMonitor(keep=…)."
            )
        alert = _Alert(
            call=call,
            error_rate=error_rate,
            p95_response_time=p95_response_time,
            when=when,
            last=last,
            at_least=at_least,
        )
        with self._lock:
            self._alerts = (*self._alerts, alert)

        def stop() -> None:
            with self._lock:
                self._alerts = tuple(other for other in self._alerts if other is not alert)

        return stop

    def _add(self, seen: _Seen) -> None:
        with self._lock:
            self._counts.add(seen)
            self._kept.append(seen)
            raised = [(alert, metrics) for alert in self._alerts if (metrics := alert.look(self._kept))]
        for alert, metrics in raised:  # without the lock: the function may ask for the metrics
            alert.tell(metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One kept call; times in seconds, `None` if they do not count."""

    end: datetime
    status: CallStatus
    error: str | None = None
    provider: str | None = None
    model: str | None = None
    tokens: int = 0
    nanos: int = 0
    unpriced: bool = False
    seconds: float | None = None
    first: float | None = None


class _Counts:
    """Sums over calls."""

    def __init__(self) -> None:
        self._ends: Counter[CallStatus] = Counter()
        self._errors: Counter[str] = Counter()
        self._unpriced = self._tokens = self._nanos = self._timed = self._firsts = 0
        self._seconds = self._first_seconds = 0.0

    def add(self, seen: _Seen) -> None:
        self._ends[seen.status] += 1
        if seen.error is not None:
            self._errors[seen.error] += 1
        self._unpriced += seen.unpriced
        self._tokens += seen.tokens
        self._nanos += seen.nanos
        self._timed += seen.seconds is not None
        self._seconds += seen.seconds or 0.0
        self._firsts += seen.first is not None
        self._first_seconds += seen.first or 0.0

    def metrics(self, kept: Iterable[_Seen]) -> Metrics:
        """Return the sums as metrics, with the percentiles of the given calls."""
        good = self._ends["ok"] + self._ends["replayed"]
        # Cancelled calls count as neither, because the user ended them.
        bad = sum(self._ends[status] for status in FAILED)
        times = sorted(seen.seconds for seen in kept if seen.seconds is not None)
        return {
            "total_requests": self._ends.total(),
            "successful_requests": good,
            "failed_requests": bad,
            "cancelled_requests": self._ends["cancelled"],
            "replayed_requests": self._ends["replayed"],
            "unpriced_requests": self._unpriced,
            "total_tokens": self._tokens,
            "total_cost": self._nanos / NANO,
            "avg_response_time": self._seconds / (self._timed or 1),
            "p50_response_time": _percentile(times, 50),
            "p95_response_time": _percentile(times, 95),
            "avg_first_token_time": self._first_seconds / (self._firsts or 1),
            "success_rate": 100 * good / (good + bad or 1),
            "error_rate": 100 * bad / (good + bad or 1),
            "errors_by_class": dict(self._errors.most_common()),
        }


@dataclass(slots=True, kw_only=True, eq=False)
class _Alert:
    """A limit and the function to call; it is armed while the calls are within the limit."""

    call: Callable[[Metrics], object]
    error_rate: float | None
    p95_response_time: float | None
    when: Callable[[Metrics], bool] | None
    last: int
    at_least: int
    armed: bool = True

    def look(self, kept: deque[_Seen]) -> Metrics | None:
        """Return the metrics if the limit has just been exceeded."""
        if len(kept) < self.at_least:
            return None
        metrics = _metrics(_window(kept, self.last, None))
        beyond = self._beyond(metrics)
        # One alert for each time that the limit is passed, not for each call.
        passed, self.armed = beyond and self.armed, not beyond
        return metrics if passed else None

    def tell(self, metrics: Metrics) -> None:
        """Log the alert and call the function."""
        logger.warning(
            "LLM alert: %.1f %% of %d calls failed, p95 %.2f s",
            metrics["error_rate"],
            metrics["total_requests"],
            metrics["p95_response_time"],
        )
        try:
            self.call(metrics)
        except Exception:  # the function's error must not break the call
            logger.exception("The function of an alert failed: %r", self.call)

    def _beyond(self, metrics: Metrics) -> bool:
        limits = (
            (self.error_rate, metrics["error_rate"]),
            (self.p95_response_time, metrics["p95_response_time"]),
        )
        if any(limit is not None and value > limit for limit, value in limits):
            return True
        try:
            return self.when is not None and bool(self.when(metrics))
        except Exception:  # as above
            logger.exception("The condition of an alert failed: %r", self.when)
            return False


def _seen(record: CallRecord) -> _Seen:
    end = record.time + timedelta(seconds=record.duration_s or 0)
    seen = _Seen(end=end, status=record.status, provider=record.provider, model=record.model)
    if record.status == "replayed":
        return seen
    return replace(
        seen,
        error=(record.error or record.status) if record.status in FAILED else None,
        tokens=(record.input_tokens or 0) + (record.output_tokens or 0),
        nanos=0 if record.simulated else record.cost_nanos or 0,
        unpriced=is_unpriced(record) and not record.simulated,
        seconds=record.duration_s,
        first=record.first_token_s,
    )


def _stored(ledger: Ledger, since: date | str | None) -> Iterator[_Seen]:
    """Read the calls of a ledger, oldest first."""
    from llmkit.records import CallRecord

    names = ["time", "uid", "status", "provider", "model", "input_tokens", "output_tokens", "cost_nanos"]
    names += ["duration_s", "first_token_s", "error", "simulated"]
    table = ledger.where(since=since).exact[names].sort_values("time", kind="stable").astype(object)
    # Missing values of pandas become None, as in a record.
    for row in table.where(table.notna(), None).to_dict("records"):
        yield _seen(CallRecord(**{str(name): value for name, value in row.items()}))


def _window(kept: Iterable[_Seen], last: int | None, minutes: float | None) -> list[_Seen]:
    chosen = list(kept)
    if minutes is not None:
        start = datetime.now(UTC) - timedelta(minutes=minutes)
        chosen = [seen for seen in chosen if seen.end >= start]
    return chosen if last is None else chosen[max(len(chosen) - last, 0) :]


def _metrics(calls: list[_Seen]) -> Metrics:
    counts = _Counts()
    for seen in calls:
        counts.add(seen)
    return counts.metrics(calls)


def _percentile(times: list[float], percent: int) -> float:
    """Return a percentile by nearest rank: the smallest time that this percentage does not exceed."""
    return times[-(-percent * len(times) // 100) - 1] if times else 0.0
