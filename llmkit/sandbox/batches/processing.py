"""How the requests inside a batch are answered, and the pages of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.sandbox.batches.store import Ended
from llmkit.sandbox.dialects.dialect import UNKNOWN_PREFIX, Call, RefusedError
from llmkit.sandbox.faults import parse, split_model
from llmkit.sandbox.journal import SeenRequest
from llmkit.sandbox.reply import reply

if TYPE_CHECKING:
    from llmkit.sandbox.batches.store import Batch, Item
    from llmkit.sandbox.dialects.dialect import Dialect
    from llmkit.sandbox.endpoints import Incoming


def finished(incoming: Incoming, batch: Batch, dialect: Dialect | None = None) -> list[Ended]:
    """Return how the requests of a batch that is over ended."""
    speaks = dialect or incoming.dialect
    return batch.finish(lambda item: _answered(incoming, speaks, item))


def _answered(incoming: Incoming, dialect: Dialect, item: Item) -> Ended:
    """Answer one request of a batch."""
    model, fault = split_model(item.model)
    call = Call(action="generate", model=model, body=item.body, headers=incoming.headers)
    seen = SeenRequest(protocol=dialect.name, method="BATCH", path="", model=item.model, body=item.body)
    seen.fault = ";".join(filter(None, (incoming.store.next_failure(), fault)))
    incoming.journal.requests.append(seen)
    try:
        ended = Ended(item, "succeeded", 200, _body(dialect, call, seen.fault))
    except RefusedError as refused:
        ended = Ended(item, "errored", refused.status, dialect.error(refused))
    seen.status = ended.status
    seen.end("done")
    return ended


def _body(dialect: Dialect, call: Call, spec: str) -> dict[str, Any]:
    try:
        fault = parse(spec)
        if fault.status:
            message = fault.message or f"The sandbox was asked for status {fault.status}."
            raise RefusedError(fault.status, message, code=fault.code)
        if call.model.startswith(UNKNOWN_PREFIX):
            raise dialect.unknown_model(call.model)
        ask = dialect.read(call)
        return dialect.body(ask, reply(ask, fault))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(400, f"A field of the request has a wrong type: {error}.") from None


def page(batches: list[Batch], *, after: str, limit: int) -> tuple[list[Batch], bool]:
    """Return a page of a list, and whether there is more."""
    ids = [one.id for one in batches]
    start = ids.index(after) + 1 if after in ids else 0
    shown = batches[start : start + limit]
    return shown, start + limit < len(batches)


def whole(text: str | None, default: int) -> int:
    """Read a number of a query."""
    return int(text) if text and text.isdigit() else default
