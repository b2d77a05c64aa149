"""Our own provider: spans and metrics go to an OTLP collector, as the SDK's variables say."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http import metric_exporter, trace_exporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from llmkit.otel.spans import SpanTracer

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_WAIT = 2.0
"""Seconds that the end of the process waits for a collector."""

LOST = "No collector takes the spans and metrics; calls go on without. %llm doctor says where."

logger = logging.getLogger("llmkit.otel")

_lock = threading.Lock()
_thread = threading.local()


class _Quiet(logging.Filter):
    """Leaves out what an exporter of ours logs at each of its attempts: one warning of ours is enough."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - it depends on who logs
        return not getattr(_thread, "quiet", False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = False


class _Losses:
    """Says once that a collector does not take what it is sent."""

    def __init__(self) -> None:
        self._said = False

    def note(self) -> None:
        """Say it, if nobody has."""
        if not self._said:
            self._said = True
            logger.warning("%s", LOST)


class _SpanExporter(trace_exporter.OTLPSpanExporter):
    def __init__(self, losses: _Losses) -> None:
        super().__init__()
        self._losses, self._ended = losses, False

    def export(self, spans: Any) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        with _quiet(), contextlib.suppress(OSError):  # earlier releases of the SDK raise it
            result = super().export(spans)
        if result is not SpanExportResult.SUCCESS and not self._ended:
            self._losses.note()
        return result

    def shutdown(self) -> None:
        """End, and with it the retries that are under way; the provider does it once more."""
        self._ended = True
        with _quiet():
            super().shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves out the return type


class _MetricExporter(metric_exporter.OTLPMetricExporter):
    def __init__(self, losses: _Losses) -> None:
        super().__init__()
        self._losses, self._ended = losses, False

    def export(self, *arguments: Any, **options: Any) -> MetricExportResult:
        result = MetricExportResult.FAILURE
        with _quiet(), contextlib.suppress(OSError):
            result = super().export(*arguments, **options)
        if result is not MetricExportResult.SUCCESS and not self._ended:
            self._losses.note()
        return result

    def shutdown(self, *arguments: Any, **options: Any) -> None:
        """End, as above."""
        self._ended = True
        with _quiet():
            super().shutdown(*arguments, **options)


@dataclass(frozen=True, slots=True)
class _Own:
    tracer: SpanTracer
    spans: TracerProvider
    meters: MeterProvider
    exporters: tuple[_SpanExporter, _MetricExporter]
    losses: _Losses


_own: _Own | None = None


def tracer() -> SpanTracer:
    """Return the tracer of our own provider."""
    own = _own or _made()
    return own.tracer


def _made() -> _Own:
    global _own  # noqa: PLW0603 - one process has one
    with _lock:
        if _own is None:
            for module in (trace_exporter, metric_exporter):
                logging.getLogger(module.__name__).addFilter(_QUIET)
            losses = _Losses()
            to = _SpanExporter(losses), _MetricExporter(losses)
            # Not set as the global one: a provider that the user sets later replaces it.
            spans = TracerProvider(shutdown_on_exit=False)
            spans.add_span_processor(BatchSpanProcessor(to[0]))
            meters = MeterProvider([PeriodicExportingMetricReader(to[1])], shutdown_on_exit=False)
            _own = _Own(SpanTracer(spans, meters), spans, meters, to, losses)
            atexit.register(close)
        return _own


_QUIET = _Quiet()


def flush(seconds: float) -> bool:
    """Send what waits; a collector that does not answer is waited for no longer than this."""
    own = _own
    if own is None:
        return True
    done: list[bool] = []

    def send() -> None:
        done.append(own.spans.force_flush() and own.meters.force_flush())

    thread = threading.Thread(target=send, name="llmkit-otel-flush", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is shutting down
        send()
    else:
        thread.join(seconds)
    return done == [True]


def close() -> None:
    """Send what waits, and end; a later call makes a new provider."""
    global _own
    sent = flush(LAST_WAIT)
    own, _own = _own, None
    if own is None:
        return
    if not sent:
        own.losses.note()
    for exporter in own.exporters:  # first: a collector that is down must not hold up the exit by its retries
        exporter.shutdown()
    if sent:  # otherwise a request is under way, which cannot be interrupted; its thread is a daemon
        own.spans.shutdown()
        own.meters.shutdown(timeout_millis=1000)
