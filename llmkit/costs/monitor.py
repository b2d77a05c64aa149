"""Counts of calls, for a health check."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypedDict

from llmkit.costs.totals import NANOS, is_unpriced, to_nanos

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from llmkit.costs.ledger import Ledger
    from llmkit.records import CallRecord


class Metrics(TypedDict):
    """What `LLMMonitor.get_metrics` returns."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    unpriced_requests: int
    total_tokens: int
    total_cost: float
    avg_response_time: float
    success_rate: float
    error_rate: float


class LLMMonitor:
    """Counts requests, tokens, money and time; any thread may report.

    Example:
        >>> monitor = LLMMonitor()
        >>> monitor.record_request(success=True, tokens=120, cost=0.25, response_time=1.5)
        >>> monitor.get_metrics()["success_rate"]
        100.0
    """

    def __init__(self) -> None:
        # Re-entrant: the garbage collector may end a stream, and so report it, while this is held.
        self._lock = threading.RLock()
        self._good = self._bad = self._unpriced = self._tokens = self._nanos = self._timed = 0
        self._seconds = 0.0

    def record_request(
        self,
        success: bool,  # noqa: FBT001 - the contract's order
        tokens: int | None = None,
        cost: float | Decimal | None = None,
        response_time: float | None = None,
    ) -> None:
        """Count one request.

        Args:
            success: Whether it ended well.
            tokens: Tokens in all; `None` if unknown.
            cost: US dollars; `None` if unknown: then it counts among `unpriced_requests`.
            response_time: Seconds; `None` if unknown: then it does not count for the average.

        Raises:
            ValueError: If the cost is negative, infinite or not a number.
        """
        nanos = None if cost is None else to_nanos(cost)
        self._add(success=success, tokens=tokens, nanos=nanos, unpriced=cost is None, seconds=response_time)

    def observe(self, record: CallRecord) -> None:
        """Count one call of the toolkit; what the sandbox answered costs nothing.

        Args:
            record: The finished call.
        """
        counts = [count for count in (record.input_tokens, record.output_tokens) if count is not None]
        self._add(
            success=record.status in {"ok", "replayed"},
            tokens=sum(counts) if counts else None,
            nanos=None if record.simulated else record.cost_nanos,
            unpriced=is_unpriced(record) and not record.simulated,
            seconds=record.duration_s,
        )

    def watch(self, ledger: Ledger) -> Callable[[], None]:
        """Count every call that this process records in a ledger from now on.

        Args:
            ledger: The ledger.

        Returns:
            A function that ends it.
        """
        return ledger.subscribe(self.observe)

    def get_metrics(self) -> Metrics:
        """Return the counts so far.

        Returns:
            Requests (`total_`, `successful_`, `failed_`, `unpriced_requests`), `total_tokens`,
            `total_cost` in US dollars (of the priced ones), `avg_response_time` in seconds,
            `success_rate` and `error_rate` in percent. Without any request all are 0.
        """
        with self._lock:
            total = self._good + self._bad
            return {
                "total_requests": total,
                "successful_requests": self._good,
                "failed_requests": self._bad,
                "unpriced_requests": self._unpriced,
                "total_tokens": self._tokens,
                "total_cost": self._nanos / NANOS,
                "avg_response_time": self._seconds / (self._timed or 1),
                "success_rate": 100 * self._good / (total or 1),
                "error_rate": 100 * self._bad / (total or 1),
            }

    def _add(
        self, *, success: bool, tokens: int | None, nanos: int | None, unpriced: bool, seconds: float | None
    ) -> None:
        with self._lock:
            self._good += success
            self._bad += not success
            self._unpriced += unpriced
            self._tokens += tokens or 0
            self._nanos += nanos or 0
            self._timed += seconds is not None
            self._seconds += seconds or 0.0
