"""Endpoints that keep or decide something: requests to them, and what they reply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.sandbox.dialects.dialect import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.sandbox.batches.store import Batch, BatchStore
    from llmkit.sandbox.conversation import Ask
    from llmkit.sandbox.dialects.dialect import Dialect
    from llmkit.sandbox.journal import Journal

_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request to a Batch API, to its files, or to a Decisions API."""

    journal: Journal
    dialect: Dialect
    owner: str  # the key
    path: Mapping[str, str]  # the parts of the path that vary
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: dict[str, Any]  # the JSON object; empty if there was none
    raw: bytes = field(repr=False)
    base: str  # address of the protocol, as the client sees it
    model: str  # from the path or the body, without the fault
    admit: Callable[[Ask], None]  # counts against the rate limits; batches have none

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
    """A reply."""

    value: Any  # to be sent as JSON, or bytes
    content_type: str = _JSON
    headers: Mapping[str, str] = {}


class Endpoint(NamedTuple):
    """A route, and what answers it."""

    method: str
    path: str
    answer: Callable[[Incoming], Sent]
