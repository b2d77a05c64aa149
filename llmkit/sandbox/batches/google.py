"""Google's Batch API and the files it needs: https://ai.google.dev/api/batch-api."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.sandbox.batches.processing import finished, page, whole
from llmkit.sandbox.batches.store import Item, new_id
from llmkit.sandbox.dialects.dialect import RefusedError, pick
from llmkit.sandbox.endpoints import Endpoint, Sent

if TYPE_CHECKING:
    from llmkit.sandbox.batches.store import Batch, Ended, StoredFile
    from llmkit.sandbox.endpoints import Incoming

_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1main."
_STATES = {"completed": "SUCCEEDED", "failed": "FAILED", "canceled": "CANCELLED", "expired": "EXPIRED"}
_CODES = {"expired": (4, "The request expired."), "canceled": (1, "The request was cancelled.")}
# google.rpc.Code of an HTTP status
_RPC = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 503: 14, 504: 4}
_LARGEST_INLINE = 20 * 10**6
_LARGEST = 2 * 10**9
_WINDOW = 48 * 3600
_EXPIRY = 48 * 3600
_VERSION = "/{version:v1(?:alpha|beta)?}"


def _create(incoming: Incoming) -> Sent:
    model = incoming.path["model"]
    asked = incoming.body.get("batch") or {}
    source = pick(asked, "inputConfig") or {}
    named = pick(source, "fileName")
    if named is not None:
        items, problems = _of_file(incoming, str(named), model)
    else:
        items, problems = _inlined(incoming, source.get("requests") or {}, model), []
    fields = {
        "model": model,
        "name": pick(asked, "displayName") or "",
        "file": named,
        "priority": str(asked.get("priority") or 0),
    }
    batch = incoming.store.add(
        items,
        batch_id=new_id("batches/"),
        owner=incoming.owner,
        fields=fields,
        problems=problems,
        window=_WINDOW,
    )
    return Sent(_operation(incoming, batch, is_new=True))


def _inlined(incoming: Incoming, source: dict[str, Any], model: str) -> list[Item]:
    requests = source.get("requests")
    if not isinstance(requests, list) or not requests:
        raise RefusedError(400, "* BatchGenerateContentRequest.batch.input_config: requests is not specified")
    if len(incoming.raw) > _LARGEST_INLINE:
        raise RefusedError(400, "Request payload size exceeds the limit: 20971520 bytes.")
    return [_item(str(place), given, model, given.get("metadata")) for place, given in enumerate(requests)]


def _of_file(incoming: Incoming, named: str, model: str) -> tuple[list[Item], list[dict[str, Any]]]:
    """Read the requests of a file, and what is wrong with it."""
    file = incoming.store.file(named, incoming.owner)
    if file is None:
        raise RefusedError(404, f"Requested entity was not found: {named}.")
    items = []
    for number, line in enumerate(file.data.splitlines(), 1):
        try:
            given = orjson.loads(line)
            items.append(_item(str(given["key"]), given, model, None))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [], [{"code": 3, "message": f"Line {number} of {named} is not a request with a key."}]
    return items, [] if items else [{"code": 3, "message": f"{named} has no requests."}]


def _item(key: str, given: dict[str, Any], model: str, metadata: Any) -> Item:
    request = given.get("request")
    if not isinstance(request, dict):
        raise RefusedError(400, "* BatchGenerateContentRequest.batch: request is not specified")
    named = str(request.get("model") or model).removeprefix("models/")
    if named != model:
        raise RefusedError(400, f"The request's model {named} is not the batch's model {model}.")
    return Item(key, request, model, metadata)


def _batch(incoming: Incoming) -> Batch:
    return incoming.batch(f"batches/{incoming.path['batch']}")


def _get(incoming: Incoming) -> Sent:
    return Sent(_operation(incoming, _batch(incoming)))


def _list(incoming: Incoming) -> Sent:
    query = incoming.query
    mine = incoming.store.of(incoming.owner, "batches/")
    limit = whole(query.get("pageSize"), 50)
    shown, more = page(mine, after=query.get("pageToken", ""), limit=limit)
    following = {"nextPageToken": shown[-1].id} if more else {}
    return Sent({"operations": [_operation(incoming, one) for one in shown], **following})


def _cancel(incoming: Incoming) -> Sent:
    batch = _batch(incoming)
    if batch.is_over:
        raise RefusedError(400, f"{batch.id} has ended.", code="FAILED_PRECONDITION")
    batch.cancel()
    return Sent({})


def _delete(incoming: Incoming) -> Sent:
    del incoming.store.batches[_batch(incoming).id]
    return Sent({})


def _operation(incoming: Incoming, batch: Batch, *, is_new: bool = False) -> dict[str, Any]:
    """Describe a batch as a long-running operation."""
    over = batch.is_over and not is_new
    # A batch that expired has no results at all, as the documentation says.
    has_output = over and batch.reason in {"completed", "canceled"}
    output = _output(incoming, batch) if has_output else {}
    state = _STATES[batch.reason] if over else "PENDING" if is_new else "RUNNING"
    metadata = {
        "@type": f"{_TYPES}GenerateContentBatch",
        "model": f"models/{batch.fields['model']}",
        "displayName": batch.fields["name"],
        "inputConfig": {"fileName": batch.fields["file"]} if batch.fields["file"] else {"requests": {}},
        "createTime": _time(batch.created),
        "updateTime": _time(min(batch.clock.now(), batch.end)),
        "batchStats": _stats(batch, over=over),
        "state": f"BATCH_STATE_{state}",
        "name": batch.id,
        "priority": batch.fields["priority"],
        **({"endTime": _time(batch.end)} if over else {}),
        **({"output": output} if output else {}),
    }
    ending = _ending(batch, output) if over else {}
    return {"name": batch.id, "metadata": metadata, **ending}


def _ending(batch: Batch, output: dict[str, Any]) -> dict[str, Any]:
    """Return the response or the error of a batch that is over."""
    if batch.reason == "completed":
        return {"done": True, "response": {"@type": f"{_TYPES}GenerateContentBatchOutput", **output}}
    return {"done": True, "error": _why(batch)}


def _why(batch: Batch) -> dict[str, Any]:
    if batch.problems:
        return batch.problems[0]
    code, _ = _CODES["canceled" if batch.reason == "canceled" else "expired"]
    word = "cancelled" if batch.reason == "canceled" else "expired"
    return {"code": code, "message": f"The batch was {word}." if code == 1 else f"The batch {word}."}


def _stats(batch: Batch, *, over: bool) -> dict[str, str]:
    total, done = len(batch.items), batch.count("succeeded")
    if not over:
        counts = {"requestCount": total, "pendingRequestCount": total}
    else:
        counts = {
            "requestCount": total,
            "successfulRequestCount": done,
            "failedRequestCount": total - done,
        }
    # JSON of protocol buffers has numbers of 64 bits as text.
    return {name: str(count) for name, count in counts.items() if count}


def _output(incoming: Incoming, batch: Batch) -> dict[str, Any]:
    """Return the answers, or the file that has them if the requests came in a file."""
    ended = finished(incoming, batch)
    if not batch.fields["file"]:
        return {"inlinedResponses": {"inlinedResponses": [_inlined_response(one) for one in ended]}}
    if not batch.outputs:
        # In another order than the requests: the keys say which is which.
        lines = [orjson.dumps({"key": one.item.id, **_answer(one)}) for one in reversed(ended)]
        kept = incoming.store.keep(
            b"".join(line + b"\n" for line in lines),
            file_id=new_id("files/batch-"),
            owner=batch.owner,
            name=f"{batch.id} output",
            purpose="GENERATED",
            mime_type="application/jsonl",
        )
        batch.outputs["responses"] = kept.id
    return {"responsesFile": batch.outputs["responses"]}


def _inlined_response(ended: Ended) -> dict[str, Any]:
    metadata = {"metadata": ended.item.metadata} if ended.item.metadata else {}
    return {**metadata, **_answer(ended)}


def _answer(ended: Ended) -> dict[str, Any]:
    """Return the answer to a request or the `google.rpc.Status` of its error."""
    if ended.outcome == "succeeded":
        return {"response": ended.body}
    if late := _CODES.get(ended.outcome):
        return {"error": {"code": late[0], "message": late[1]}}
    said = ended.body["error"]
    error = {"code": _RPC.get(ended.status, 13), "message": said["message"]}
    return {"error": {**error, **({"details": said["details"]} if "details" in said else {})}}


def _upload(incoming: Incoming) -> Sent:
    """Begin or continue a resumable upload."""
    upload = incoming.query.get("upload_id")
    commands = [word.strip() for word in incoming.headers.get("x-goog-upload-command", "").split(",")]
    if upload is None and "start" not in commands:
        raise RefusedError(400, "The sandbox takes resumable uploads only.")
    if upload is None:
        return _start(incoming)
    begun = incoming.store.uploads.get(upload)
    # No key is needed here: the SDK sends none, because the address of an upload is secret.
    if begun is None:
        raise RefusedError(404, f"Upload {upload} was not found.")
    if incoming.headers.get("x-goog-upload-offset") != str(len(begun["data"])):
        raise RefusedError(400, f"The upload continues at {len(begun['data'])}.")
    begun["data"] += incoming.raw
    if "finalize" not in commands:
        return Sent({}, headers={"x-goog-upload-status": "active"})
    del incoming.store.uploads[upload]
    return Sent({"file": _finish_upload(incoming, begun)}, headers={"x-goog-upload-status": "final"})


def _start(incoming: Incoming) -> Sent:
    upload = new_id("")
    asked = incoming.body.get("file") or {}
    mime = incoming.headers.get("x-goog-upload-header-content-type", "")
    incoming.store.uploads[upload] = {
        "owner": incoming.owner,
        "data": b"",
        "display_name": pick(asked, "displayName") or "",
        "name": asked.get("name") or new_id("files/"),
        "mime_type": pick(asked, "mimeType") or mime,
    }
    url = f"{incoming.base}/upload/v1beta/files?upload_id={upload}&upload_protocol=resumable"
    return Sent({}, headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})


def _finish_upload(incoming: Incoming, begun: dict[str, Any]) -> dict[str, Any]:
    if len(begun["data"]) > _LARGEST:
        raise RefusedError(400, "A file has at most 2 GB.")
    kept = incoming.store.keep(
        begun["data"],
        file_id=begun["name"],
        owner=begun["owner"],
        name=begun["display_name"],
        purpose="UPLOADED",
        mime_type=begun["mime_type"],
    )
    return _file_object(incoming, kept)


def _file_object(incoming: Incoming, file: StoredFile) -> dict[str, Any]:
    digest = base64.b64encode(hashlib.sha256(file.data).hexdigest().encode()).decode()
    download = f"{incoming.base}/v1beta/{file.id}:download?alt=media"
    return {
        "name": file.id,
        **({"displayName": file.name} if file.name else {}),
        "mimeType": file.mime_type,
        "sizeBytes": str(len(file.data)),
        "createTime": _time(file.created),
        "updateTime": _time(file.created),
        "expirationTime": _time(file.created + _EXPIRY),
        "sha256Hash": digest,
        "uri": f"{incoming.base}/v1beta/{file.id}",
        "state": "ACTIVE",
        "source": file.purpose,
        **({"downloadUri": download} if file.purpose == "GENERATED" else {}),
    }


def _file(incoming: Incoming) -> StoredFile:
    found = incoming.store.file(f"files/{incoming.path['file']}", incoming.owner)
    if found is None:
        # The API does not say whether a file of another key exists.
        named = incoming.path["file"]
        text = f"You do not have permission to access the File {named} or it may not exist."
        raise RefusedError(403, text)
    return found


def _get_file(incoming: Incoming) -> Sent:
    return Sent(_file_object(incoming, _file(incoming)))


def _list_files(incoming: Incoming) -> Sent:
    files = [one for one in incoming.store.files.values() if one.owner == incoming.owner]
    return Sent({"files": [_file_object(incoming, one) for one in files]})


def _download(incoming: Incoming) -> Sent:
    file = _file(incoming)
    if file.purpose != "GENERATED":
        raise RefusedError(400, "Only generated files can be downloaded.", code="FAILED_PRECONDITION")
    return Sent(file.data, file.mime_type)


def _delete_file(incoming: Incoming) -> Sent:
    del incoming.store.files[_file(incoming).id]
    return Sent({})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


ENDPOINTS = (
    Endpoint("POST", _VERSION + "/models/{model}:batchGenerateContent", _create),
    Endpoint("GET", _VERSION + "/batches", _list),
    Endpoint("GET", _VERSION + "/batches/{batch}", _get),
    Endpoint("DELETE", _VERSION + "/batches/{batch}", _delete),
    Endpoint("POST", _VERSION + "/batches/{batch}:cancel", _cancel),
    Endpoint("POST", "/upload" + _VERSION + "/files", _upload),
    Endpoint("GET", _VERSION + "/files", _list_files),
    Endpoint("GET", _VERSION + "/files/{file}:download", _download),
    Endpoint("GET", "/download" + _VERSION + "/files/{file}:download", _download),
    Endpoint("GET", _VERSION + "/files/{file}", _get_file),
    Endpoint("DELETE", _VERSION + "/files/{file}", _delete_file),
)
"""The routes below Google's base URL."""
