"""From requests to batches: encode, divide at the provider's limits, reserve, send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from llmkit.clients.batches.booking import reservation, uid_of
from llmkit.clients.batches.state import custom_id
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.batches import BatchPart
from llmkit.providers.codec import TEMPERATURE
from llmkit.records import current_context, current_recorder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from llmkit.clients.batches.server import BatchServer
    from llmkit.clients.batches.state import BatchRequest
    from llmkit.providers.codec import Request

_BREATH = 200
"""Requests that are encoded before others may run."""


class Encoded(NamedTuple):
    """One request, ready to be sent."""

    id: str
    path: str
    line: bytes
    request: Request


@dataclass(slots=True)
class _Open:
    """A batch that takes more requests."""

    items: list[Encoded] = field(default_factory=list)
    size: int = 0

    def has_room(self, line: bytes, server: BatchServer) -> bool:
        bounds = server.format
        return len(self.items) < bounds.most_requests and self.size + len(line) < bounds.most_bytes

    def add(self, item: Encoded) -> None:
        self.items.append(item)
        self.size += len(item.line) + 1


async def divided(
    server: BatchServer, job: str, requests: Iterable[BatchRequest]
) -> AsyncGenerator[list[Encoded], None]:
    """Yield the requests of each batch; they share an API and a model, and keep the provider's limits."""
    batches: dict[tuple[str, str], _Open] = {}
    seen: set[str] = set()
    for number, request in enumerate(requests):
        if request.id in seen:
            raise InvalidRequestError(f"Two requests of the job have the identifier {request.id!r}.")
        seen.add(request.id)
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)
        item = encoded(server, job, request)
        key = (item.path, item.request.model)
        if not batches.setdefault(key, _Open()).has_room(item.line, server):
            yield batches[key].items
            batches[key] = _Open()
        batches[key].add(item)
    for batch in batches.values():
        yield batch.items


def encoded(server: BatchServer, job: str, request: BatchRequest) -> Encoded:
    """Encode one request."""
    options = dict(request.options)
    made = server.client.request(
        request.messages,
        options.pop("model", None),
        options.pop("temperature", TEMPERATURE),
        options.pop("max_tokens", None),
        **options,
    )
    wire = server.endpoint.codec.chosen(made).encode(made)
    line = server.format.line(custom_id(job, request.id), wire)
    if len(line) >= server.format.most_bytes:
        raise InvalidRequestError(f"The request {request.id!r} is larger than a batch may be.")
    return Encoded(request.id, wire.path, line, made)


def part_of(job: str, items: list[Encoded]) -> BatchPart:
    """Return the contents of a batch."""
    first = items[0]
    return BatchPart(
        job=job,
        path=first.path,
        model=first.request.model,
        ids=tuple(item.id for item in items),
        lines=tuple(item.line for item in items),
    )


class Reservations:
    """What a batch holds in the budgets: the maximum cost of each request; the sandbox costs nothing."""

    def __init__(self, server: BatchServer, job: str) -> None:
        recorder = None if server.simulated else current_recorder()
        self._guard = None if recorder is None else recorder.guard(current_context().cap_nanos)
        self._provider = server.client.provider_name
        self._job = job
        self._held: list[str] = []

    async def hold(self, items: list[Encoded]) -> None:
        """Reserve all or nothing.

        Raises:
            BudgetExceededError: If it does not fit into a budget.
        """
        if self._guard is None:
            return
        when = datetime.now(UTC)
        try:
            for item in items:
                uid = uid_of(self._job, item.id)
                self._held.append(uid)
                await self._guard.admit(reservation(item.request, self._provider, uid, when))
        except BaseException:  # a cancellation, too: what was not sent holds nothing back
            self.release()
            raise

    def release(self) -> None:
        """Release everything."""
        held, self._held = self._held, []
        if self._guard is not None:
            for uid in held:
                self._guard.release(uid)
