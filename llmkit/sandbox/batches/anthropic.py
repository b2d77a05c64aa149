"""Anthropic's Message Batches: https://docs.anthropic.com/en/api/creating-message-batches."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.sandbox.batches.processing import finished, page, whole
from llmkit.sandbox.batches.store import Item, new_id
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.endpoints import Endpoint, Sent

if TYPE_CHECKING:
    from llmkit.sandbox.batches.store import Batch, Ended
    from llmkit.sandbox.endpoints import Incoming

_MOST = 100_000
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PREFIX = "msgbatch_"


def _create(incoming: Incoming) -> Sent:
    if "anthropic-version" not in incoming.headers:
        raise RefusedError(400, "anthropic-version: header is required")
    requests = incoming.body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise RefusedError(400, "requests: List should have at least 1 item after validation, not 0")
    if len(requests) > _MOST:
        raise RefusedError(413, f"requests: a batch has at most {_MOST:,} requests.")
    items = [_item(place, request) for place, request in enumerate(requests)]
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        raise RefusedError(400, "requests: each custom_id must be unique")
    batch = incoming.store.add(items, batch_id=new_id(_PREFIX), owner=incoming.owner)
    return Sent(_described(incoming, batch, is_new=True))


def _item(place: int, request: Any) -> Item:
    given = request if isinstance(request, dict) else {}
    named, params = given.get("custom_id"), given.get("params")
    if not isinstance(named, str) or not _ID.fullmatch(named):
        text = "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
        raise RefusedError(400, f"requests.{place}.custom_id: {text}")
    if not isinstance(params, dict):
        raise RefusedError(400, f"requests.{place}.params: Field required")
    if params.get("stream"):
        raise RefusedError(400, f"requests.{place}.params.stream: Input should be False")
    return Item(named, params, str(params.get("model") or ""))


def _get(incoming: Incoming) -> Sent:
    return Sent(_described(incoming, incoming.batch(incoming.path["batch"])))


def _list(incoming: Incoming) -> Sent:
    query = incoming.query
    mine = incoming.store.of(incoming.owner, _PREFIX)
    shown, more = page(mine, after=query.get("after_id", ""), limit=whole(query.get("limit"), 20))
    data = [_described(incoming, one) for one in shown]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return Sent({"data": data, "has_more": more, "first_id": None, "last_id": None, **ends})


def _cancel(incoming: Incoming) -> Sent:
    batch = incoming.batch(incoming.path["batch"])
    if batch.is_over:
        raise RefusedError(400, f"Batch {batch.id} cannot be canceled because it has already ended.")
    batch.cancel()
    return Sent(_described(incoming, batch, is_new=True))


def _delete(incoming: Incoming) -> Sent:
    batch = incoming.batch(incoming.path["batch"])
    if not batch.is_over:
        raise RefusedError(400, f"Batch {batch.id} cannot be deleted while it is in progress.")
    del incoming.store.batches[batch.id]
    return Sent({"id": batch.id, "type": "message_batch_deleted"})


def _results(incoming: Incoming) -> Sent:
    batch = incoming.batch(incoming.path["batch"])
    if not batch.is_over:
        raise RefusedError(404, f"Batch {batch.id} has no available results.")
    # In another order than the requests, as the documentation warns.
    lines = [orjson.dumps(_result(one)) for one in reversed(finished(incoming, batch))]
    return Sent(b"".join(line + b"\n" for line in lines), "application/x-jsonl")


def _result(ended: Ended) -> dict[str, Any]:
    result: dict[str, Any] = {"type": ended.outcome}
    if ended.outcome == "succeeded":
        usage = {"usage": {**ended.body["usage"], "service_tier": "batch"}} if "usage" in ended.body else {}
        result["message"] = {**ended.body, **usage}
    if ended.outcome == "errored":
        result["error"] = {**ended.body, "request_id": new_id("req_")}
    return {"custom_id": ended.item.id, "result": result}


def _described(incoming: Incoming, batch: Batch, *, is_new: bool = False) -> dict[str, Any]:
    """Describe a batch; one that was just made or cancelled is not over yet."""
    over = batch.is_over and not is_new
    counts = dict.fromkeys(("canceled", "errored", "expired", "succeeded"), 0)
    if over:
        finished(incoming, batch)
        counts = {name: batch.count(name) for name in ("canceled", "errored", "expired", "succeeded")}
    status = "canceling" if batch.cancelled is not None else "in_progress"
    results = f"{incoming.base}/v1/messages/batches/{batch.id}/results"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if over else status,
        "request_counts": {"processing": 0 if over else len(batch.items), **counts},
        "ended_at": _time(batch.end) if over else None,
        "created_at": _time(batch.created),
        "expires_at": _time(batch.expires),
        "archived_at": None,
        "cancel_initiated_at": None if batch.cancelled is None else _time(batch.cancelled),
        "results_url": results if over else None,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


_PATH = "/v1/messages/batches"
ENDPOINTS = (
    Endpoint("POST", _PATH, _create),
    Endpoint("GET", _PATH, _list),
    Endpoint("GET", _PATH + "/{batch}", _get),
    Endpoint("DELETE", _PATH + "/{batch}", _delete),
    Endpoint("POST", _PATH + "/{batch}/cancel", _cancel),
    Endpoint("GET", _PATH + "/{batch}/results", _results),
)
"""The routes below Anthropic's base URL."""
