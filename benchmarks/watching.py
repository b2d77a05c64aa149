"""`watching`: what hooks and spans cost a call."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from measure import Row, check
from opentelemetry import trace  # the dearest case of "off": something has imported it
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import llmkit
from llmkit import hooks
from llmkit.core import settings
from llmkit.records import CallContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

ROUNDS = 7
OFF_GOAL, HOOK_GOAL, ON_GOAL = 1.0, 10.0, 150.0

NOW = datetime(2026, 11, 28, tzinfo=UTC)
TAGS = {"project": "thesis"}
CONTEXT = CallContext(surface="magic", notebook="a.ipynb", cell_id="c1", execution_count=7, tags=TAGS)
RESPONSE = llmkit.LLMResponse("It is.", "openai", "gpt-4o-mini")
RECORD = llmkit.CallRecord(
    time=NOW,
    uid="0" * 32,
    status="ok",
    surface="magic",
    provider="openai",
    model="gpt-4o-mini",
    model_served="gpt-4o-mini",
    input_tokens=900,
    output_tokens=90,
    cache_read_tokens=0,
    reasoning_tokens=0,
    cost_nanos=189_000,
    price_source="genai-prices",
    first_token_s=0.4,
    duration_s=1.2,
    finish_reason="stop",
)


def watching(*, quick: bool) -> list[Row]:
    """Measure what a call does for those who watch it, without the call."""
    calls = 2_000 if quick else 20_000
    found = [_row("off", calls * 20, OFF_GOAL)]
    stop = llmkit.on_call(_nothing, _nothing)
    found.append(_row("one hook", calls, HOOK_GOAL))
    stop()
    spans = _Counted()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(spans, max_queue_size=10**6))
    trace.set_tracer_provider(provider)
    found.append(_row("spans and metrics", calls, ON_GOAL))
    provider.force_flush()
    check(spans.number, calls * (ROUNDS + 1), "the exporter")
    provider.shutdown()
    return found


class _Counted(SpanExporter):
    """Counts the spans: what sending them costs depends on the exporter, and is on its own thread."""

    def __init__(self) -> None:
        self.number = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.number += len(spans)
        return SpanExportResult.SUCCESS


def _nothing(*_: object) -> None:
    """Do what a hook does at least."""


def _row(name: str, calls: int, goal: float) -> Row:
    each = [_cpu(_call, calls) for _ in range(ROUNDS + 1)][1:]
    return Row(benchmark="watching", case="per call", name=name, value=median(each), unit="µs", goal=goal)


def _cpu(work: Callable[[], None], times: int) -> float:
    settings.load()
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1e6


def _started() -> hooks.Started:
    return hooks.Started(
        uid=RECORD.uid,
        time=NOW,
        provider="openai",
        model="gpt-4o-mini",
        context=CONTEXT,
        messages=(),
        replayed=False,
        simulated=False,
    )


def _call() -> None:
    """Do what the engine does around a call."""
    seen = hooks.observation(_started)
    if seen is not None:
        seen.start()
        with seen.sending("https://api.openai.com/v1", foreign=False):
            pass
        seen.end(RECORD, RESPONSE)
