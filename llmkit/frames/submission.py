"""What a job has sent to a Batch API: kept in the store of answers, so that any process can go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit.clients.batches.state import BatchState
from llmkit.core import processes
from llmkit.core.timestamps import micros
from llmkit.frames.answers import claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.frames.answers.protocol import JobRecord

SUBMITTING = "submitting"
PENDING = "pending"
OPEN = (SUBMITTING, PENDING)
"""States of jobs whose results are not all read."""


@dataclass(slots=True, kw_only=True)
class Submission:
    """The batches of one job.

    Attributes:
        id: Identifier of the job, which the providers' identifiers of its requests carry.
        place: The server.
        tags: Labels of its calls in the ledger.
        owner: The process that sends it.
        keys: The requests.
        states: What is known about its batches.
        read: Batches whose results are in the store.
        complete: Whether all its batches are in `states`.
    """

    id: str
    place: str
    tags: Mapping[str, str]
    owner: str = field(default_factory=processes.owner)
    keys: frozenset[bytes] = frozenset()
    states: list[BatchState] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    complete: bool = False

    @classmethod
    def of(cls, record: JobRecord) -> Submission:
        """Return the submission of a job's record."""
        found = json.loads(record.state_json or "{}")
        return cls(
            id=record.id,
            place=found["place"],
            tags=found["tags"],
            owner=found["owner"],
            keys=frozenset(map(bytes.fromhex, found["keys"])),
            states=[BatchState.of(state) for state in found["states"]],
            read=set(found["read"]),
            complete=found["complete"],
        )

    def text(self) -> str:
        """Return it as JSON."""
        values: dict[str, Any] = {
            "place": self.place,
            "tags": dict(self.tags),
            "owner": self.owner,
            "keys": [key.hex() for key in self.keys],
            "states": [state.as_dict() for state in self.states],
            "read": sorted(self.read),
            "complete": self.complete,
        }
        return json.dumps(values, separators=(",", ":"))

    @property
    def state(self) -> str:
        """Its state in the list of jobs."""
        if not self.complete:
            return SUBMITTING
        if self.unread:
            return PENDING
        endings = {state.ending for state in self.states}
        return next((str(word) for word in ("failed", "cancelled", "expired") if word in endings), "done")

    @property
    def unread(self) -> list[BatchState]:
        """The batches whose results are not in the store."""
        return [state for state in self.states if state.batch not in self.read]

    @property
    def expires(self) -> int | None:
        """When the first of its batches expires, in microseconds since 1970 (UTC)."""
        times = [micros(state.expires) for state in self.unread if state.expires is not None]
        return min(times, default=None)

    @property
    def is_being_sent(self) -> bool:
        """Whether another process, or another job of this one, may be sending it."""
        if self.complete:
            return False
        if self.owner == processes.owner():
            return claims.is_active(self.id)
        owner = processes.Process.parse(self.owner)
        return owner is not None and processes.is_alive(owner) is not False

    def pending(self) -> frozenset[bytes]:
        """Return the requests whose results are still to come."""
        if not self.complete:
            return self.keys
        unread = self.unread
        if any(not state.ids for state in unread):  # found at the provider, which does not tell which ones
            known = {one for state in self.states if state.batch in self.read for one in state.ids}
            return self.keys - {bytes.fromhex(one) for one in known}
        return frozenset(bytes.fromhex(one) for state in unread for one in state.ids)

    def end(self) -> None:
        """Note that no further batch is to come."""
        self.complete = True
        if all(state.ids for state in self.states):
            self.keys = frozenset(bytes.fromhex(one) for state in self.states for one in state.ids)
