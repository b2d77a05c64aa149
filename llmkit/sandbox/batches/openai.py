"""OpenAI's Batch API and the files it needs: https://platform.openai.com/docs/api-reference/batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmkit.sandbox.batches.multipart import fields_of
from llmkit.sandbox.batches.processing import finished, page, whole
from llmkit.sandbox.batches.store import Item, new_id
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.dialects.openai import OpenAIDialect
from llmkit.sandbox.dialects.responses import ResponsesDialect
from llmkit.sandbox.endpoints import Endpoint, Sent

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from llmkit.sandbox.batches.store import Batch, Ended, StoredFile
    from llmkit.sandbox.dialects.dialect import Dialect
    from llmkit.sandbox.endpoints import Incoming

_DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": OpenAIDialect(),
    "/v1/responses": ResponsesDialect(),
}
_MOST = 50_000
_LARGEST = 200 * 10**6
_LATE = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}
_TIMES = (
    *("created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at"),
    *("expired_at", "cancelling_at", "cancelled_at"),
)
_STATUS = {"completed": "completed", "failed": "failed", "canceled": "cancelled", "expired": "expired"}


def _upload(incoming: Incoming) -> Sent:
    fields = fields_of(incoming.raw, incoming.headers.get("content-type", ""))
    purpose, file = fields.get("purpose"), fields.get("file")
    if purpose is None or file is None:
        lacking = "purpose" if purpose is None else "file"
        raise RefusedError(400, f"'{lacking}' is a required property", param=lacking)
    kept = incoming.store.keep(
        file.data,
        file_id=new_id("file-"),
        owner=incoming.owner,
        name=file.filename or "upload",
        purpose=purpose.data.decode(),
    )
    return Sent(_file_object(kept))


def _file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.data),
        "created_at": int(file.created),
        "expires_at": None,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def _file(incoming: Incoming) -> StoredFile:
    file_id = incoming.path["file"]
    found = incoming.store.file(file_id, incoming.owner)
    if found is None:
        raise RefusedError(404, f"No such File object: {file_id}", param="id")
    return found


def _get_file(incoming: Incoming) -> Sent:
    return Sent(_file_object(_file(incoming)))


def _content(incoming: Incoming) -> Sent:
    return Sent(_file(incoming).data, "application/octet-stream")


def _delete_file(incoming: Incoming) -> Sent:
    file = _file(incoming)
    del incoming.store.files[file.id]
    return Sent({"id": file.id, "object": "file", "deleted": True})


def _list_files(incoming: Incoming) -> Sent:
    files = [one for one in incoming.store.files.values() if one.owner == incoming.owner]
    wanted = incoming.query.get("purpose")
    data = [_file_object(one) for one in files if wanted in {None, one.purpose}]
    return Sent({"object": "list", "data": data, "has_more": False})


def _create(incoming: Incoming) -> Sent:
    body = incoming.body
    endpoint, window = body.get("endpoint"), body.get("completion_window")
    if endpoint not in _DIALECTS:
        known = ", ".join(f"'{name}'" for name in _DIALECTS)
        text = f"Invalid value: '{endpoint}'. Supported values are: {known}."
        raise RefusedError(400, text, code="invalid_value", param="endpoint")
    if window != "24h":
        text = f"Invalid value: '{window}'. Supported values are: '24h'."
        raise RefusedError(400, text, code="invalid_value", param="completion_window")
    given = str(body.get("input_file_id"))
    file = incoming.store.file(given, incoming.owner)
    if file is None or file.purpose != "batch":
        raise RefusedError(400, f"Invalid file '{given}': not found, or not of purpose 'batch'.")
    items, problems = _items(file.data, endpoint)
    fields = {"endpoint": endpoint, "input_file_id": given, "metadata": body.get("metadata")}
    batch = incoming.store.add(
        items, batch_id=new_id("batch_"), owner=incoming.owner, fields=fields, problems=problems
    )
    return Sent(_described(incoming, batch, "validating"))


def _items(data: bytes, endpoint: str) -> tuple[list[Item], list[dict[str, Any]]]:
    """Read the requests of a file, and what is wrong with it."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not lines:
        return [], [_problem("empty_file", "The batch input file is empty.")]
    if len(lines) > _MOST or len(data) > _LARGEST:
        text = f"A batch has at most {_MOST:,} requests and {_LARGEST // 10**6} MB."
        return [], [_problem("request_limit_exceeded", text)]
    items: dict[str, Item] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        item = _item(line, endpoint, items)
        if isinstance(item, Item):
            items[item.id] = item
        else:
            problems.append(_problem(*item, number))
    if len({item.model for item in items.values()}) > 1:
        problems.append(_problem("mismatched_model", "All requests of a batch must name the same model."))
    return list(items.values()), problems


def _item(line: bytes, endpoint: str, before: Container[str]) -> Item | tuple[str, str]:
    """Read one line of an input file; return the code and text of its error instead if it has one."""
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "invalid_json_line", "This line is not parseable as valid JSON."
    if not isinstance(given, dict) or not isinstance(given.get("body"), dict):
        return "missing_required_parameter", "Missing required parameter: 'body'."
    if not isinstance(given.get("custom_id"), str):
        return "missing_required_parameter", "Missing required parameter: 'custom_id'."
    if given.get("method") != "POST":
        return "invalid_method", "The method must be POST."
    wrong = _misplaced(given, endpoint, before)
    return wrong or Item(given["custom_id"], given["body"], str(given["body"].get("model") or ""))


def _misplaced(given: dict[str, Any], endpoint: str, before: Container[str]) -> tuple[str, str] | None:
    """Return the code and text of the error of a line that does not fit to its batch."""
    if given["custom_id"] in before:
        return "duplicate_custom_id", f"The custom_id '{given['custom_id']}' is used more than once."
    if given.get("url") != endpoint:
        return "invalid_url", f"The URL '{given.get('url')}' is not the batch's endpoint '{endpoint}'."
    return None


def _problem(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "line": line, "message": message, "param": None}


def _get(incoming: Incoming) -> Sent:
    return Sent(_described(incoming, incoming.batch(incoming.path["batch"])))


def _list(incoming: Incoming) -> Sent:
    query = incoming.query
    mine = incoming.store.of(incoming.owner, "batch_")
    shown, more = page(mine, after=query.get("after", ""), limit=whole(query.get("limit"), 20))
    data = [_described(incoming, one) for one in shown]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return Sent({"object": "list", "data": data, "has_more": more, **ends})


def _cancel(incoming: Incoming) -> Sent:
    batch = incoming.batch(incoming.path["batch"])
    if batch.is_over:
        status = _STATUS[batch.reason]
        raise RefusedError(400, f"Cannot cancel a batch with status '{status}'.")
    batch.cancel()
    return Sent(_described(incoming, batch, "cancelling"))


def _described(incoming: Incoming, batch: Batch, status: str | None = None) -> dict[str, Any]:
    """Describe a batch; `status` is that of one which was just made or cancelled."""
    over = batch.is_over and status is None
    if over and not batch.problems:
        _write_outputs(incoming, batch)
    return {
        "id": batch.id,
        "object": "batch",
        "model": batch.items[0].model if batch.items else None,
        "errors": {"object": "list", "data": batch.problems} if over and batch.problems else None,
        "completion_window": "24h",
        "status": status or (_STATUS[batch.reason] if over else "in_progress"),
        "output_file_id": batch.outputs.get("output"),
        "error_file_id": batch.outputs.get("error"),
        **_times(batch, over=over, begun=status != "validating"),
        "request_counts": _counts(batch, over=over),
        "usage": _usage(batch.ended or ()),
        **batch.fields,
    }


def _times(batch: Batch, *, over: bool, begun: bool) -> dict[str, int | None]:
    times = dict.fromkeys(_TIMES)
    times |= {"created_at": int(batch.created), "expires_at": int(batch.expires)}
    if begun and not batch.problems:
        times["in_progress_at"] = int(batch.created)
    if over:
        times[f"{_STATUS[batch.reason]}_at"] = int(batch.end)
    if over and not batch.problems:
        times["finalizing_at"] = int(batch.end)
    if batch.cancelled is not None:
        times["cancelling_at"] = int(batch.cancelled)
    return times


def _counts(batch: Batch, *, over: bool) -> dict[str, int]:
    total = 0 if batch.problems else len(batch.items)
    completed = batch.count("succeeded") if over else batch.done()
    return {"total": total, "completed": completed, "failed": total - completed if over else 0}


def _write_outputs(incoming: Incoming, batch: Batch) -> None:
    """Make the files of a batch that is over: of answers, and of requests without one."""
    if batch.ended is not None:
        return
    ended = finished(incoming, batch, _DIALECTS[batch.fields["endpoint"]])
    # In another order than the requests, as the documentation warns.
    parts = {
        "output": [one for one in reversed(ended) if one.outcome == "succeeded"],
        "error": [one for one in reversed(ended) if one.outcome != "succeeded"],
    }
    for kind, some in parts.items():
        if some:
            name, data = f"{batch.id}_{kind}.jsonl", b"".join(_line(one) for one in some)
            made = incoming.store.keep(
                data, file_id=new_id("file-"), owner=batch.owner, name=name, purpose="batch_output"
            )
            batch.outputs[kind] = made.id


def _line(ended: Ended) -> bytes:
    answered = {"status_code": ended.status, "request_id": new_id("req_"), "body": ended.body}
    late = _LATE.get(ended.outcome)
    line = {
        "id": new_id("batch_req_"),
        "custom_id": ended.item.id,
        "response": None if late else answered,
        "error": {"code": late[0], "message": late[1]} if late else None,
    }
    return orjson.dumps(line) + b"\n"


def _usage(ended: Iterable[Ended]) -> dict[str, Any]:
    """Add up the tokens of a batch."""
    counts = dict.fromkeys(("input", "output", "cached", "reasoning"), 0)
    for usage in (one.body["usage"] for one in ended if "usage" in one.body):
        asked = "input" if "input_tokens" in usage else "prompt"
        said = "output" if "input_tokens" in usage else "completion"
        counts["input"] += usage[f"{asked}_tokens"]
        counts["output"] += usage[f"{said}_tokens"]
        counts["cached"] += usage[f"{asked}_tokens_details"]["cached_tokens"]
        counts["reasoning"] += usage[f"{said}_tokens_details"]["reasoning_tokens"]
    return {
        "input_tokens": counts["input"],
        "input_tokens_details": {"cached_tokens": counts["cached"]},
        "output_tokens": counts["output"],
        "output_tokens_details": {"reasoning_tokens": counts["reasoning"]},
        "total_tokens": counts["input"] + counts["output"],
    }


ENDPOINTS = (
    Endpoint("POST", "/files", _upload),
    Endpoint("GET", "/files", _list_files),
    Endpoint("GET", "/files/{file}", _get_file),
    Endpoint("DELETE", "/files/{file}", _delete_file),
    Endpoint("GET", "/files/{file}/content", _content),
    Endpoint("POST", "/batches", _create),
    Endpoint("GET", "/batches", _list),
    Endpoint("GET", "/batches/{batch}", _get),
    Endpoint("POST", "/batches/{batch}/cancel", _cancel),
)
"""The routes below OpenAI's base URL."""
