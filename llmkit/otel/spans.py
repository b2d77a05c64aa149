"""The spans of calls, of tools, and of what they are parts of."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import llmkit
from llmkit.core.money import from_nanos
from llmkit.hooks import UNTRACED, Hook
from llmkit.otel import content, names
from llmkit.otel.meters import Meters
from llmkit.records import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider

    from llmkit.content.messages import LLMResponse
    from llmkit.content.parts import ToolCall
    from llmkit.hooks import Started
    from llmkit.records import CallRecord

SUPPRESSED = (
    # Two spellings of the SDK's and the instrumentations', and that of OpenLLMetry.
    getattr(contexts, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
    "suppress_language_model_instrumentation",
)
"""Keys of the context that ask instrumentations to make no span."""

_propagator = TraceContextTextMapPropagator()


class SpanTracer:
    """Makes spans with one tracer provider; see `llmkit.hooks.Tracer`."""

    def __init__(self, provider: trace.TracerProvider, meters: MeterProvider | None = None) -> None:
        self._tracer = provider.get_tracer("llmkit", llmkit.__version__, schema_url=names.SCHEMA)
        self._meters = Meters(meters)
        self._calls: dict[str, trace.Span] = {}
        self._runs: dict[str, trace.Span] = {}
        self.hook = Hook(self._start, self._end)

    def sending(self, uid: str, address: str, *, foreign: bool) -> AbstractContextManager[Mapping[str, str]]:
        """Make the span of a call the current one; see `Tracer.sending`."""
        span = self._calls.get(uid)
        if span is None:
            return UNTRACED
        if span.is_recording():
            span.set_attributes(_server(address))
        around = trace.set_span_in_context(span)
        if foreign:
            for key in SUPPRESSED:
                around = contexts.set_value(key, value=True, context=around)
        return Current(around)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the current trace."""
        return _headers(contexts.get_current())

    @contextlib.contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Make a span of a job; see `Tracer.job`."""
        attributes = {names.OPERATION: names.WORKFLOW, names.WORKFLOW_NAME: name}
        span = self._tracer.start_span(f"{names.WORKFLOW} {name}", attributes=attributes)
        with _ended(span), Current(trace.set_span_in_context(span)):
            yield

    @contextlib.contextmanager
    def run(self, uid: str, provider: str) -> Iterator[None]:
        """Make a span of a run with tools; see `Tracer.run`."""
        attributes = {names.OPERATION: names.AGENT, names.PROVIDER: names.provider(provider), names.RUN: uid}
        # Not the current one: the run is an asynchronous generator, whose context is its reader's.
        span = self._runs[uid] = self._tracer.start_span(names.AGENT, attributes=attributes)
        try:
            with _ended(span):
                yield
        finally:
            del self._runs[uid]

    def tool(self, run: str, call: ToolCall) -> ToolSpan:
        """Make a span of a call of a tool; see `Tracer.tool`."""
        attributes = {
            names.OPERATION: names.TOOL,
            names.TOOL_NAME: call.name,
            names.TOOL_CALL_ID: call.id,
            names.TOOL_TYPE: "function",
        }
        if content.is_captured():
            attributes[names.TOOL_ARGUMENTS] = content.text(call.raw)
        name = f"{names.TOOL} {call.name}"
        return ToolSpan(self._tracer.start_span(name, context=self._inside(run), attributes=attributes))

    def _inside(self, run: str | None) -> Context | None:
        """Return the context of a run; `None`, which means the current one, outside of runs."""
        span = None if run is None else self._runs.get(run)
        return None if span is None else trace.set_span_in_context(span)

    def _start(self, call: Started) -> _Unsent:
        attributes: dict[str, Any] = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: names.provider(call.provider),
            names.REQUEST_MODEL: call.model,
            names.UID: call.uid,
            names.SURFACE: call.surface,
            names.NOTEBOOK: call.notebook,
            names.CELL: call.cell_id,
            names.EXECUTION_COUNT: call.context.execution_count,
            names.RUN: call.context.parent_uid,
            names.STEP: call.context.step,
            **{f"{names.TAG}{name}": value for name, value in call.tags.items()},
        }
        span = self._calls[call.uid] = self._tracer.start_span(
            f"{names.CHAT} {call.model}",
            context=self._inside(call.context.parent_uid),
            kind=trace.SpanKind.CLIENT,
            attributes=_known(attributes),
            start_time=int(call.time.timestamp() * 1e6) * 1000,
        )
        if span.is_recording() and content.is_captured():
            span.set_attribute(names.INPUT_MESSAGES, content.messages(call.messages))
        return _Unsent(self._calls, call.uid)

    def _end(self, record: CallRecord, outcome: LLMResponse | BaseException) -> None:
        self._meters.add(record)
        span = self._calls.pop(record.uid, None)
        if span is None:
            return
        if span.is_recording():
            span.set_attributes(_known(_facts(record)))
            _describe(span, record, outcome)
        span.end()


class Current:
    """Makes a context the current one for a block."""

    def __init__(self, around: Context) -> None:
        self._around = around

    def __enter__(self) -> Mapping[str, str]:
        self._token = contexts.attach(self._around)
        return _headers(self._around)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        # A coroutine that the collector closes may be in another context, where the token is not valid.
        if kind is not GeneratorExit or contexts.get_current() is self._around:
            contexts.detach(self._token)


class ToolSpan:
    """The span of a call of a tool; see `llmkit.hooks.ToolSpan`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def current(self) -> Current:
        """Make it the current one."""
        return Current(trace.set_span_in_context(self._span))

    def end(self, result: str, error: BaseException | None) -> None:
        """End it."""
        if error is not None:
            _fail(self._span, error)
        elif content.is_captured():
            self._span.set_attribute(names.TOOL_RESULT, content.text(result))
        self._span.end()


class _Unsent:
    """Ends the span of a call that started and was never sent, and so has no record."""

    def __init__(self, calls: dict[str, trace.Span], uid: str) -> None:
        self._calls = calls
        self._uid = uid

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        span = self._calls.pop(self._uid, None)
        if span is not None:
            span.end()


@contextlib.contextmanager
def _ended(span: trace.Span) -> Iterator[None]:
    """End a span with a block."""
    try:
        yield
    except Exception as error:
        _fail(span, error)
        raise
    finally:
        span.end()


def _fail(span: trace.Span, error: BaseException) -> None:
    span.set_attribute(names.ERROR_TYPE, type(error).__name__)
    # The message of an error may repeat words of the prompt.
    span.set_status(trace.StatusCode.ERROR, content.text(str(error)) if content.is_captured() else None)


def _facts(record: CallRecord) -> dict[str, Any]:
    """Return the attributes of a finished call."""
    paid = record.status != "replayed"  # a replay uses nothing: back ends would count its tokens again
    return {
        # A fallback may have answered in place of the model that was asked first.
        names.PROVIDER: names.provider(record.provider),
        names.REQUEST_MODEL: record.model,
        names.RESPONSE_MODEL: record.model_served,
        names.FINISH_REASONS: (record.finish_reason,) if record.finish_reason else None,
        names.FIRST_CHUNK: record.first_token_s,
        names.STATUS: record.status,
        names.COST: from_nanos(record.cost_nanos),
        names.COST_SOURCE: record.price_source,
        names.AT_MOST: from_nanos(record.at_most_nanos),
        names.ATTEMPTS: record.attempts,
        names.FALLBACK_FROM: record.fallback_from,
        names.SIMULATED: record.simulated or None,
        **({name: getattr(record, field) for field, name in names.USAGE.items()} if paid else {}),
    }


def _describe(span: trace.Span, record: CallRecord, outcome: LLMResponse | BaseException) -> None:
    """Add what the record does not have: name, error and, if that is wanted, the answer."""
    if record.fallback_from is not None:
        span.update_name(f"{names.CHAT} {record.model}")
    if isinstance(outcome, BaseException):
        if record.status in FAILED:
            _fail(span, outcome)
        return
    if outcome.request_id:
        span.set_attribute(names.REQUEST_ID, outcome.request_id)
    if content.is_captured():
        span.set_attribute(names.OUTPUT_MESSAGES, content.answer(outcome))


def _headers(around: Context) -> dict[str, str]:
    """Return `traceparent`, and `tracestate` if there is one; never the baggage, which is the user's."""
    headers: dict[str, str] = {}
    _propagator.inject(headers, around)
    return headers


def _server(address: str) -> dict[str, str | int]:
    place = urlsplit(address)
    port = {} if place.port is None else {names.SERVER_PORT: place.port}
    return {names.SERVER_ADDRESS: place.hostname, **port} if place.hostname else {}


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
