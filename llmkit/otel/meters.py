"""The metrics of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics

import llmkit
from llmkit.otel import names

if TYPE_CHECKING:
    from llmkit.records import CallRecord

# Source: the conventions' advice on buckets, the same for every client.
_SECONDS = [0.01 * 2**n for n in range(14)]
_TOKENS = [float(4**n) for n in range(14)]


class Meters:
    """Three histograms: duration, time to the first chunk, tokens.

    Args:
        provider: Where they go; by default the meter provider that is set, also if that happens later.
    """

    def __init__(self, provider: metrics.MeterProvider | None) -> None:
        meter = metrics.get_meter("llmkit", llmkit.__version__, provider, names.SCHEMA)
        self._duration = meter.create_histogram(
            names.DURATION, "s", "Duration of calls.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._first = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK,
            "s",
            "Time to the first text of an answer.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            names.TOKENS, "{token}", "Tokens of calls.", explicit_bucket_boundaries_advisory=_TOKENS
        )

    def add(self, record: CallRecord) -> None:
        """Count a call; a replayed one took no time of a provider, and no tokens."""
        if record.status == "replayed":
            return
        labels = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: names.provider(record.provider),
            names.REQUEST_MODEL: record.model,
        }
        if record.model_served:
            labels[names.RESPONSE_MODEL] = record.model_served
        for kind, count in (("input", record.input_tokens), ("output", record.output_tokens)):
            if count is not None:
                self._tokens.record(count, {**labels, names.TOKEN_TYPE: kind})
        if record.first_token_s is not None:
            self._first.record(record.first_token_s, labels)
        if record.duration_s is not None:
            error = {} if record.error is None else {names.ERROR_TYPE: record.error}
            self._duration.record(record.duration_s, {**labels, **error})
