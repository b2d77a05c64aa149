"""An OTLP collector on loopback, which keeps what it is sent."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmkit.otel import exporting, flush

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    name: str
    id: str
    trace: str
    parent: str | None
    kind: int
    attributes: dict[str, Any]
    failed: bool
    message: str
    seconds: float


class Collector:
    """The collector; llmkit sends to it between `with` and its end."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._bodies: list[tuple[str, bytes]] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector._bodies.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        patch.setenv("LLMKIT_OTEL", "1")
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{self._server.server_port}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        exporting.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def spans(self) -> list[Span]:
        """What has been sent, in the order in which the spans ended."""
        return [_span(span) for part in self._parts("/v1/traces") for span in part.spans]

    @property
    def calls(self) -> list[Span]:
        return [span for span in self.spans if span.name.startswith("chat ")]

    @property
    def metrics(self) -> dict[str, list[tuple[dict[str, Any], int, float]]]:
        """For each metric its latest points: attributes, count and sum."""
        metrics = {metric.name: metric for part in self._parts("/v1/metrics") for metric in part.metrics}
        return {
            name: [(_values(p.attributes), p.count, p.sum) for p in metric.histogram.data_points]
            for name, metric in metrics.items()
        }

    def _parts(self, path: str) -> Iterable[Any]:
        assert flush(60)
        for sent, body in self._bodies:
            if sent == path == "/v1/traces":
                for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                    yield from spans.scope_spans
            elif sent == path:
                for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    yield from metrics.scope_metrics


def _span(span: Any) -> Span:
    return Span(
        name=span.name,
        id=span.span_id.hex(),
        trace=span.trace_id.hex(),
        parent=span.parent_span_id.hex() or None,
        kind=span.kind,
        attributes=_values(span.attributes),
        failed=span.status.code == 2,
        message=span.status.message,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
