"""Google's Batch API: a file of requests with keys, and a file of answers.

The SDK's mapping of a batch drops the error of one that failed; here the operation is read as it is.

Source: https://ai.google.dev/api/batch-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from llmkit.core.errors import BadResponseError
from llmkit.providers.batches import BatchFormat, BatchResult, BatchStatus, began, sent_body
from llmkit.providers.json_fields import as_list, as_name, as_object, as_text, loads, token_count
from llmkit.transport.aiohttp import encode
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from llmkit.providers.batches import BatchPart, Ending, Reply, Steps

_VERSION = "/v1beta"
_NAME = "llmkit "
_TYPE = "application/jsonl"
_ENDINGS: dict[str, Ending] = {
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
# HTTP statuses of google.rpc.Code
_STATUSES = {1: 0, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 13: 500, 14: 503, 16: 401}


class GoogleBatches(BatchFormat):
    """Batches of `generateContent`."""

    # The API gives no number; half a million lines of a file are as much as a process should hold.
    most_requests = 500_000
    most_bytes = 1_000_000_000

    def line(self, custom_id: str, wire: WireRequest) -> bytes:
        """See `BatchFormat.line`."""
        return encode({"key": custom_id, "request": sent_body(wire)})

    def create(self, part: BatchPart) -> Steps[BatchStatus]:
        """See `BatchFormat.create`."""
        name = _NAME + part.job
        data = b"".join(line + b"\n" for line in part.lines)
        reply = yield _start(name, len(data))
        reply = yield _send(_place(reply), data)
        file = as_text(as_object(as_object(loads(reply.body)).get("file")).get("name"))
        batch = {"displayName": name, "inputConfig": {"fileName": file}}
        path = part.path.replace(":generateContent", ":batchGenerateContent")
        reply = yield WireRequest(path=path, body={"batch": batch})
        return self.status(reply.body)

    def look(self, batch: str) -> WireRequest:
        """See `BatchFormat.look`."""
        return WireRequest(path=f"{_VERSION}/{quote(batch)}")

    def cancel(self, batch: str) -> WireRequest:
        """See `BatchFormat.cancel`."""
        return WireRequest(path=f"{_VERSION}/{quote(batch)}:cancel", body={})

    def listing(self, page: str | None) -> WireRequest:
        """See `BatchFormat.listing`."""
        token = f"&pageToken={quote(page, safe='')}" if page else ""
        return WireRequest(path=f"{_VERSION}/batches?pageSize=100{token}")

    def listed(self, body: bytes) -> tuple[list[BatchStatus], str | None]:
        """See `BatchFormat.listed`."""
        page = as_object(loads(body))
        found = [_status(as_object(one)) for one in as_list(page.get("operations"))]
        return found, as_name(page.get("nextPageToken"))

    def status(self, body: bytes) -> BatchStatus:
        """See `BatchFormat.status`."""
        return _status(as_object(loads(body)))

    def result(self, line: bytes) -> BatchResult:
        """See `BatchFormat.result`."""
        found = as_object(loads(line))
        named = as_text(found.get("key"))
        if "response" in found:
            return BatchResult(named, 200, orjson.dumps(found["response"]))
        error = as_object(found.get("error") or found.get("status"))
        code = token_count(error.get("code")) or 13
        status = _STATUSES.get(code, code if code >= 400 else 500)
        # The codec's reader of errors takes Google's status words, which a `google.rpc.Status` lacks.
        return BatchResult(named, status, orjson.dumps({"error": error}), None if status else "cancelled")


def _start(name: str, size: int) -> WireRequest:
    """Return the request that begins an upload."""
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": _TYPE,
    }
    body = {"file": {"displayName": name, "mimeType": _TYPE}}
    return WireRequest(path=f"/upload{_VERSION}/files", body=body, headers=headers)


def _place(reply: Reply) -> str:
    """Return the path of an upload; of its address, only the path is taken: the key goes nowhere else."""
    url = urlsplit(reply.headers.get("x-goog-upload-url", ""))
    at = url.path.find("/upload/")
    if at < 0:
        raise BadResponseError("The server began no upload: its answer has no address for the file.")
    return f"{url.path[at:]}?{url.query}"


def _send(path: str, data: bytes) -> WireRequest:
    headers = {
        "content-type": _TYPE,
        "x-goog-upload-command": "upload, finalize",
        "x-goog-upload-offset": "0",
    }
    return WireRequest(path=path, content=data, headers=headers)


def _status(found: dict[str, Any]) -> BatchStatus:
    about = as_object(found.get("metadata"))
    word = as_text(about.get("state")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    stats = as_object(about.get("batchStats"))
    output = as_object(about.get("output") or found.get("response"))
    file = as_name(output.get("responsesFile"))
    name, error = as_text(about.get("displayName")), as_object(found.get("error"))
    model = as_text(about.get("model")).removeprefix("models/")
    return BatchStatus(
        id=as_text(found.get("name")),
        created=began(about.get("createTime")),
        ending=_ENDINGS.get(word),
        total=token_count(stats.get("requestCount")) or 0,
        done=token_count(stats.get("successfulRequestCount")) or 0,
        failed=token_count(stats.get("failedRequestCount")) or 0,
        files=(f"{_VERSION}/{quote(file)}:download?alt=media",) if file else (),
        error=as_name(error.get("message")),
        job=name.removeprefix(_NAME) if name.startswith(_NAME) else None,
        path=f"{_VERSION}/models/{model}:generateContent",
        model=model,
    )
