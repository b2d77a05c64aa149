"""OpenAI's Batch API: a file of requests, and files of answers and errors.

Source: https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from llmkit.providers.batches import BatchFormat, BatchResult, BatchStatus, began, moment, sent_body
from llmkit.providers.json_fields import as_list, as_name, as_object, as_text, loads, token_count
from llmkit.transport.aiohttp import encode
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from llmkit.providers.batches import BatchPart, Ending, Steps

_JOB = "llmkit_job"
_VERSION = "/v1"
_ENDINGS: dict[str, Ending] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}
_PAGE = 100


class OpenAIBatches(BatchFormat):
    """Batches of Chat Completions and Responses."""

    most_requests = 50_000
    most_bytes = 200 * 10**6

    def line(self, custom_id: str, wire: WireRequest) -> bytes:
        """See `BatchFormat.line`."""
        line = {
            "custom_id": custom_id,
            "method": "POST",
            "url": _VERSION + wire.path,
            "body": sent_body(wire),
        }
        return encode(line)

    def create(self, part: BatchPart) -> Steps[BatchStatus]:
        """See `BatchFormat.create`."""
        data = b"".join(line + b"\n" for line in part.lines)
        reply = yield _upload(f"llmkit-{part.job}.jsonl", data)
        body = {
            "input_file_id": as_text(as_object(loads(reply.body)).get("id")),
            "endpoint": _VERSION + part.path,
            "completion_window": "24h",
            "metadata": {_JOB: part.job},
        }
        reply = yield WireRequest(path="/batches", body=body)
        return self.status(reply.body)

    def look(self, batch: str) -> WireRequest:
        """See `BatchFormat.look`."""
        return WireRequest(path=f"/batches/{quote(batch, safe='')}")

    def cancel(self, batch: str) -> WireRequest:
        """See `BatchFormat.cancel`."""
        return WireRequest(path=f"/batches/{quote(batch, safe='')}/cancel", body={})

    def listing(self, page: str | None) -> WireRequest:
        """See `BatchFormat.listing`."""
        after = f"&after={quote(page, safe='')}" if page else ""
        return WireRequest(path=f"/batches?limit={_PAGE}{after}")

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
        named, response = as_text(found.get("custom_id")), as_object(found.get("response"))
        if response:
            status = token_count(response.get("status_code")) or 200
            return BatchResult(named, status, orjson.dumps(response.get("body")))
        error = as_object(found.get("error"))
        late: dict[str, Ending] = {"batch_expired": "expired", "batch_cancelled": "cancelled"}
        ending = late.get(as_text(error.get("code")))
        return BatchResult(named, 0 if ending else 500, orjson.dumps({"error": error}), ending)

    def api(self, path: str) -> str | None:
        """See `BatchFormat.api`."""
        return "responses" if path == "/responses" else "chat"


def _upload(name: str, data: bytes) -> WireRequest:
    """Return the upload of a file, as a form."""
    mark = uuid.uuid4().hex
    form = (
        f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    ).encode()
    content = b"".join((form, data, f"\r\n--{mark}--\r\n".encode()))
    headers = {"content-type": f"multipart/form-data; boundary={mark}"}
    return WireRequest(path="/files", content=content, headers=headers)


def _status(found: dict[str, Any]) -> BatchStatus:
    counts = as_object(found.get("request_counts"))
    made = [as_name(found.get(name)) for name in ("output_file_id", "error_file_id")]
    problems = as_list(as_object(found.get("errors")).get("data"))
    return BatchStatus(
        id=as_text(found.get("id")),
        created=began(found.get("created_at")),
        expires=moment(found.get("expires_at")),
        ending=_ENDINGS.get(as_text(found.get("status"))),
        total=token_count(counts.get("total")) or 0,
        done=token_count(counts.get("completed")) or 0,
        failed=token_count(counts.get("failed")) or 0,
        files=tuple(f"/files/{quote(file, safe='')}/content" for file in made if file),
        error=_reason(as_object(problems[0])) if problems else None,
        job=as_name(as_object(found.get("metadata")).get(_JOB)),
        path=as_text(found.get("endpoint")).removeprefix(_VERSION),
        model=as_text(found.get("model")),
    )


def _reason(problem: dict[str, Any]) -> str:
    line = token_count(problem.get("line"))
    place = f" (line {line})" if line else ""
    return f"{as_text(problem.get('message')).rstrip('.')}{place}."
