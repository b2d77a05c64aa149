"""The ledger as a Prometheus endpoint: calls, tokens and costs of everyone who shares it.

The figures come from the ledger, not from this process, so they are right over all kernels and restarts.
Counters never fall: a call counts when it ends, at the price that it had then. Prometheus takes a counter
that falls for a restart and would count its whole value again, so a correction or a deletion changes only
`llmkit_ledger_cost_usd`, which is a gauge. prometheus_client is the extra `metrics`, loaded at the first use.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO
from llmkit.core.timestamps import micros
from llmkit.costs.budgets.rules import AMOUNTS
from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS, MEASURES
from llmkit.records import FAILED

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from llmkit.costs.ledger import Ledger
    from llmkit.costs.store.protocol import Store

__all__ = ["LedgerCollector", "MetricsServer", "serve"]

PORT = 9464
"""The default port: that of OpenTelemetry's Prometheus exporters."""

HOST = "127.0.0.1"
"""The default address to listen on: this machine only."""

KEYS = COUNTER_KEYS
"""Labels of everything that is counted per call."""

Values: TypeAlias = "list[tuple[tuple[str, ...], float]]"
"""The values of a metric by its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of the endpoint.

    Attributes:
        name: Its name, without the `_total` that a counter also has.
        kind: `"counter"` or `"gauge"`.
        labels: Names of its labels.
        help: What it counts or measures.
    """

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str

    @property
    def sample(self) -> str:
        """Its name in a query."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _counter(name: str, text: str) -> Metric:
    return Metric(name=f"llmkit_{name}", kind="counter", labels=KEYS, help=text)


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name=f"llmkit_{name}", kind="gauge", labels=labels, help=text)


CALLS = MappingProxyType(
    {
        "calls": _counter("calls", "Calls that ended, in whatever way."),
        "errors": _counter("errors", "Calls that failed or broke off."),
        "unpriced": _counter("unpriced_calls", "Calls without a known price."),
        "nanos": _counter("cost_usd", "Cost of the calls in US dollars, as booked when they ended."),
        "saved_nanos": _counter("saved_usd", "What replayed calls would have cost, in US dollars."),
        "input_tokens": _counter("input_tokens", "Input tokens, cached ones included."),
        "output_tokens": _counter("output_tokens", "Output tokens, reasoning included."),
        "cache_read_tokens": _counter("cache_read_tokens", "Input tokens read from the provider's cache."),
        "cache_write_tokens": _counter("cache_write_tokens", "Input tokens written to the provider's cache."),
        "reasoning_tokens": _counter("reasoning_tokens", "Output tokens of reasoning."),
    }
)
"""The counters, by what they count in the store."""

LEDGER_COST = _gauge(
    "ledger_cost_usd", KEYS, "Cost of the calls in the ledger now: corrected, and without deleted calls."
)
LIMIT = _gauge(
    "budget_limit_usd", ("budget",), "A budget: daily, per_user, per_notebook or per_call; none if not set."
)
SPENT = _gauge("budget_spent_usd", ("budget",), "Cost of the real calls since local midnight.")
RESERVED = _gauge("budget_reserved_usd", ("budget",), "Amount that running calls have reserved.")
UNCERTAIN = _gauge(
    "budget_uncertain_usd", ("budget",), "What calls that broke off today may have cost beyond their price."
)
WAITING = _gauge("waiting_calls", (), "Calls of this process that could not be written to the ledger yet.")

METRICS: tuple[Metric, ...] = (*CALLS.values(), LEDGER_COST, LIMIT, SPENT, RESERVED, UNCERTAIN, WAITING)
"""Every metric; the documentation lists them from here."""


class LedgerCollector:
    """The metrics of a ledger, for a registry of prometheus_client.

    Each scrape reads the sums that the ledger keeps, not its rows.

    Args:
        ledger: The ledger; by default the one of all notebooks.

    Raises:
        ConfigurationError: If prometheus_client is not installed.

    Example:
        ```python
        from prometheus_client import REGISTRY

        REGISTRY.register(llmkit.metrics.LedgerCollector())
        ```
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._families: Mapping[str, Callable[..., Any]] = _families()
        self._ledger = ledger

    def describe(self) -> list[Any]:
        """Return nothing, so that registering the collector does not read the ledger."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics with their present values.

        Raises:
            ConfigurationError: If the ledger cannot be read; Prometheus then takes the target for down.
        """
        ledger = self._ledger or _default()
        store = ledger.flushed_store()
        for metric, values in itertools.chain(_counted(store), _now(store), _waiting(ledger)):
            family = self._families[metric.kind](metric.name, metric.help, labels=metric.labels)
            for labels, value in values:
                family.add_metric(labels, value)
            yield family


class MetricsServer:
    """A running endpoint; `serve` returns it.

    Attributes:
        url: Its address, for the scrape configuration.
    """

    def __init__(self, server: Any, thread: threading.Thread, host: str) -> None:
        self._server, self._thread = server, thread
        self.port: int = server.server_port
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/metrics"

    def wait(self) -> None:
        """Wait until another thread closes the server."""
        self._thread.join()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MetricsServer({self.url})"


def serve(port: int = PORT, host: str = HOST, *, ledger: Ledger | None = None) -> MetricsServer:
    """Serve the ledger's metrics for Prometheus, on a thread of its own.

    One server is enough for everyone who shares a ledger. It answers whoever can reach it with the names of
    models and what they cost, so it listens on this machine only, unless you set another host.

    Args:
        port: The port; 0 for any free one.
        host: The address to listen on; `"0.0.0.0"` for all of this machine's.
        ledger: The ledger; by default the one of all notebooks.

    Returns:
        The server: `url`, `close()`; it ends with the process.

    Raises:
        ConfigurationError: If it cannot listen there, or prometheus_client is not installed.

    Example:
        >>> from llmkit import Ledger
        >>> server = serve(port=0, ledger=Ledger(":memory:"))
        >>> server.close()
    """
    collector = LedgerCollector(ledger)
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"Cannot serve metrics on {host}, port {port}: {error}.", hint="Choose another port or host."
        ) from error
    return MetricsServer(server, thread, host)


def _counted(store: Store) -> Iterator[tuple[Metric, Values]]:
    """Yield the counters."""
    rows = [dict(zip((*KEYS, *COUNTERS), row, strict=True)) for row in store.counters()]
    for row in rows:
        row["errors"] = row["calls"] * (row["status"] in FAILED)
    for name, metric in CALLS.items():
        scale = NANO if name.endswith("nanos") else 1
        yield metric, [(_labels(row), row[name] / scale) for row in rows]


def _now(store: Store) -> Iterator[tuple[Metric, Values]]:
    """Yield what may also fall."""
    sums: dict[tuple[str, ...], int] = {}
    for group in store.groups(KEYS) or []:
        row = dict(zip((*KEYS, *MEASURES), group, strict=True))
        sums[_labels(row)] = sums.get(_labels(row), 0) + (row["nanos"] or 0)
    yield LEDGER_COST, [(labels, nanos / NANO) for labels, nanos in sums.items()]
    rules, used = store.rules(), store.amounts(micros(datetime.now(UTC)), None)
    limits = {name: getattr(rules, name) for name in AMOUNTS}
    yield LIMIT, [((name,), nanos / NANO) for name, nanos in limits.items() if nanos is not None]
    for metric, nanos in ((SPENT, used.spent), (RESERVED, used.reserved), (UNCERTAIN, used.uncertain)):
        yield metric, [(("daily",), nanos / NANO)]


def _waiting(ledger: Ledger) -> Iterator[tuple[Metric, Values]]:
    yield WAITING, [((), ledger.waiting)]


def _labels(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of `KEYS`; a missing one is empty."""
    return (*(str(row[name] or "") for name in KEYS[:3]), "true" if row["simulated"] else "false")


def _families() -> Mapping[str, Callable[..., Any]]:
    try:
        from prometheus_client import core
    except ImportError as error:
        raise ConfigurationError(
            "Metrics need prometheus_client, which is not installed.",
            hint='Install it with: pip install "jupyter-llmkit[metrics]"',
        ) from error
    return {"counter": core.CounterMetricFamily, "gauge": core.GaugeMetricFamily}


def _default() -> Ledger:
    from llmkit.costs.ledger import ledger

    return ledger
