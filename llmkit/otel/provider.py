"""Which tracer provider gets the spans: the one that is set, or our own if the user asked for it."""

from __future__ import annotations

import os
import threading

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER

from llmkit.otel.spans import SpanTracer

_UNSET = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
_NAMED = OTEL_PYTHON_TRACER_PROVIDER in os.environ
_lock = threading.Lock()
_current: tuple[trace.TracerProvider, SpanTracer] | None = None


def tracer(*, own: bool) -> SpanTracer | None:
    """Return the tracer of the provider that is set; without one, that of our own if it is wanted."""
    if not own and _is_unset():
        return None
    provider, current = trace.get_tracer_provider(), _current
    if current is not None and current[0] is provider:
        return current[1]
    if not isinstance(provider, _UNSET):
        return _tracer_of(provider)
    if not own:
        return None
    from llmkit.otel import exporting

    return exporting.tracer()


def _is_unset() -> bool:
    """Whether certainly no provider is set; the public function takes longer than the rest of a look."""
    return not _NAMED and vars(trace).get("_TRACER_PROVIDER", trace) is None


def _tracer_of(provider: trace.TracerProvider) -> SpanTracer:
    global _current  # noqa: PLW0603 - a cache
    with _lock:
        if _current is None or _current[0] is not provider:
            _current = (provider, SpanTracer(provider))
        return _current[1]


def name() -> str | None:
    """Return the name of the provider that is set; `None` if there is none."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, _UNSET) else type(provider).__name__
