"""Anthropic's Message Batches: one request with all requests, and a file of results.

Source: https://docs.anthropic.com/en/api/creating-message-batches
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from llmkit.providers.batches import BatchFormat, BatchResult, BatchStatus, began, moment, sent_body
from llmkit.providers.json_fields import as_list, as_object, as_text, loads, token_count
from llmkit.transport.aiohttp import encode
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from llmkit.providers.batches import BatchPart, Ending, Steps

_PATH = "/v1/messages/batches"
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_LATE: dict[str, Ending] = {"expired": "expired", "canceled": "cancelled"}


class AnthropicBatches(BatchFormat):
    """Batches of messages; their list tells nothing about the job, only the results do."""

    most_requests = 100_000
    most_bytes = 256 * 10**6
    keeps_job = False

    def line(self, custom_id: str, wire: WireRequest) -> bytes:
        """See `BatchFormat.line`."""
        return encode({"custom_id": custom_id, "params": sent_body(wire)})

    def create(self, part: BatchPart) -> Steps[BatchStatus]:
        """See `BatchFormat.create`."""
        content = b'{"requests":[' + b",".join(part.lines) + b"]}"
        reply = yield WireRequest(path=_PATH, content=content)
        return self.status(reply.body)

    def look(self, batch: str) -> WireRequest:
        """See `BatchFormat.look`."""
        return WireRequest(path=f"{_PATH}/{quote(batch, safe='')}")

    def cancel(self, batch: str) -> WireRequest:
        """See `BatchFormat.cancel`."""
        return WireRequest(path=f"{_PATH}/{quote(batch, safe='')}/cancel", body={})

    def listing(self, page: str | None) -> WireRequest:
        """See `BatchFormat.listing`."""
        after = f"&after_id={quote(page, safe='')}" if page else ""
        return WireRequest(path=f"{_PATH}?limit=100{after}")

    def listed(self, body: bytes) -> tuple[list[BatchStatus], str | None]:
        """See `BatchFormat.listed`."""
        page = as_object(loads(body))
        found = [_status(as_object(one)) for one in as_list(page.get("data"))]
        return found, found[-1].id if found and page.get("has_more") else None

    def status(self, body: bytes) -> BatchStatus:
        """See `BatchFormat.status`."""
        return _status(as_object(loads(body)))

    def result(self, line: bytes) -> BatchResult:
        """See `BatchFormat.result`."""
        found = as_object(loads(line))
        named, result = as_text(found.get("custom_id")), as_object(found.get("result"))
        kind = as_text(result.get("type"))
        if kind == "succeeded":
            return BatchResult(named, 200, orjson.dumps(result.get("message")))
        if kind in _LATE:
            return BatchResult(named, 0, b"{}", _LATE[kind])
        error = as_object(result.get("error"))
        said = as_text(as_object(error.get("error")).get("type"))
        return BatchResult(named, _STATUSES.get(said, 500), orjson.dumps(error))


def _status(found: dict[str, Any]) -> BatchStatus:
    named = as_object(found.get("request_counts"))
    counts = {name: token_count(count) or 0 for name, count in named.items()}
    identifier = as_text(found.get("id"))
    has_ended = found.get("processing_status") == "ended"
    return BatchStatus(
        id=identifier,
        created=began(found.get("created_at")),
        expires=moment(found.get("expires_at")),
        ending=_ending(counts) if has_ended else None,
        total=sum(counts.values()),
        done=counts.get("succeeded", 0),
        failed=sum(counts.get(name, 0) for name in ("errored", "canceled", "expired")),
        # The path instead of `results_url`: no other address may get the key.
        files=(f"{_PATH}/{quote(identifier, safe='')}/results",) if has_ended else (),
    )


def _ending(counts: dict[str, int]) -> Ending:
    """Return how a batch ended; the provider tells it of the requests only."""
    if counts.get("canceled"):
        return "cancelled"
    return "expired" if counts.get("expired") else "completed"
