"""`BatchFormat`: the interface of a provider's Batch API, without I/O.

What takes several requests is a generator: it yields each request and is sent the answer, so that the caller
sends, retries and times, and the steps stay pure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

from llmkit.providers.json_fields import as_name
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

Ending = Literal["completed", "failed", "cancelled", "expired"]
"""How a batch ended."""


class Reply(NamedTuple):
    """An answer to one request of a Batch API."""

    body: bytes
    headers: Mapping[str, str]


Steps: TypeAlias = Generator[WireRequest, Reply, T]
"""Yields requests, is sent their answers, and returns what they say together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPart:
    """The requests of one batch: they share an API and a model.

    Attributes:
        job: Identifier under which the batch can be found again.
        path: Path of the API that answers them.
        model: The model.
        ids: Their identifiers.
        lines: The requests as `BatchFormat.line` wrote them.
    """

    job: str
    path: str
    model: str
    ids: tuple[str, ...]
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """What a provider says about a batch.

    Attributes:
        id: The provider's identifier.
        created: When it was made.
        expires: When it is given up.
        ending: How it ended; `None` while it runs.
        total: Number of requests.
        done: Requests that were answered, as far as the provider counts them.
        failed: Requests that were not.
        files: Paths of the results.
        error: Why the whole batch failed.
        job: Identifier of the job, if the provider keeps it.
        path: Path of the API that answers, if the provider keeps it.
        model: The model, if the provider keeps it.
    """

    id: str
    created: datetime
    expires: datetime | None = None
    ending: Ending | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    files: tuple[str, ...] = ()
    error: str | None = None
    job: str | None = None
    path: str = ""
    model: str = ""


class BatchResult(NamedTuple):
    """The result of one request.

    Attributes:
        id: The request's identifier.
        status: HTTP status that the request alone would have had; 0 if it was never processed.
        body: The answer, or the provider's error.
        ending: `"expired"` or `"cancelled"` if it was never processed.
    """

    id: str
    status: int
    body: bytes
    ending: Ending | None = None


class BatchFormat(ABC):
    """One provider's Batch API.

    Attributes:
        most_requests: Maximum number of requests in a batch.
        most_bytes: Maximum size of all requests together.
        keeps_job: Whether the provider's list tells the job of a batch.
    """

    most_requests: ClassVar[int]
    most_bytes: ClassVar[int]
    keeps_job: ClassVar[bool] = True

    @abstractmethod
    def line(self, custom_id: str, wire: WireRequest) -> bytes:
        """Encode one request as a part of a batch."""

    @abstractmethod
    def create(self, part: BatchPart) -> Steps[BatchStatus]:
        """Make a batch."""

    @abstractmethod
    def look(self, batch: str) -> WireRequest:
        """Return the request for the state of a batch."""

    @abstractmethod
    def cancel(self, batch: str) -> WireRequest:
        """Return the request that cancels a batch."""

    @abstractmethod
    def listing(self, page: str | None) -> WireRequest:
        """Return the request for a page of the list of batches, the latest first."""

    @abstractmethod
    def listed(self, body: bytes) -> tuple[list[BatchStatus], str | None]:
        """Decode such a page; return the batches, and the following page."""

    @abstractmethod
    def status(self, body: bytes) -> BatchStatus:
        """Decode the state of a batch."""

    @abstractmethod
    def result(self, line: bytes) -> BatchResult:
        """Decode one line of the results."""

    def api(self, path: str) -> str | None:  # noqa: ARG002 - only OpenAI has two
        """Return which API answers at a path, as `Request.api` names it."""
        return None


def sent_body(wire: WireRequest) -> Mapping[str, Any]:
    """Return the body of a request inside a batch, where nothing is streamed."""
    return {name: value for name, value in (wire.body or {}).items() if name != "stream"}


def moment(value: Any) -> datetime | None:
    """Return a time, given in seconds or as text (RFC 3339); `None` for anything else.

    Example:
        >>> moment("2026-11-28T09:00:00Z") == moment(1795856400)
        True
    """
    if isinstance(value, (int, float)) and value > 0:
        return datetime.fromtimestamp(value, UTC)
    try:
        return datetime.fromisoformat(as_name(value) or "").astimezone(UTC)
    except ValueError:
        return None


def began(value: Any) -> datetime:
    """Return when a batch was made; now, if the provider does not say."""
    return moment(value) or datetime.now(UTC)
