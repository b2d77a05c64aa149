"""A request to a Batch API, its reply, and how the requests inside a batch are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.sandbox.batches.store import Ended
from llmkit.sandbox.dialects.dialect import UNKNOWN_PREFIX, Call, RefusedError
from llmkit.sandbox.faults import parse, split_model
from llmkit.sandbox.journal import SeenRequest
from llmkit.sandbox.reply import reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.sandbox.batches.store import Batch, BatchStore, Item
    from llmkit.sandbox.dialects.dialect import Dialect
    from llmkit.sandbox.journal import Journal

_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request to a Batch API or to its files."""

    journal: Journal
    dialect: Dialect
    owner: str  # the key
    path: Mapping[str, str]  # the parts of the path that vary
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: dict[str, Any]  # the JSON object; empty if there was none
    raw: bytes = field(repr=False)
    base: str  # address of the protocol, as the client sees it

    @property
    def store(self) -> BatchStore:
        """Batches and files of the server."""
        return self.journal.batches

    def batch(self, batch_id: str) -> Batch:
        """Return a batch, or refuse the request."""
        found = self.store.batch(batch_id, self.owner)
        if found is None:
            raise RefusedError(404, f"No batch found with id '{batch_id}'.")
        return found


class Sent(NamedTuple):
    """What a Batch API replies."""

    value: Any  # to be sent as JSON, or bytes
    content_type: str = _JSON
    headers: Mapping[str, str] = {}


class Endpoint(NamedTuple):
    """A route of a Batch API, and what answers it."""

    method: str
    path: str
    answer: Callable[[Incoming], Sent]


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
