"""How many calls a job may have under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmkit.clients.limiter.concurrency import MOST
from llmkit.clients.limiter.server import LimitKey, server_limiter
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.clients.base import BaseLLMClient
    from llmkit.clients.limiter.server import ServerLimiter


class Limiter:
    """How many calls one job may have under way: what the server grants, up to the job's own maximum.

    Args:
        server: What the server grants, shared with other jobs.
        max_concurrent: Most calls of this job at once; `None` for 256.
        reported: Whether the client reports what its requests meet; else the calls' results tell.

    Attributes:
        server: What the server grants.
        max_concurrent: Most calls of this job at once.
        reported: Whether the client reports what its requests meet.
        in_flight: Calls of this job that are under way now.

    Raises:
        ConfigurationError: If the maximum is less than 1.
    """

    def __init__(
        self, server: ServerLimiter, max_concurrent: int | None = None, *, reported: bool = True
    ) -> None:
        if max_concurrent is not None and max_concurrent < 1:
            raise ConfigurationError(f"max_concurrent must be >= 1, got {max_concurrent}.")
        self.server = server
        self.max_concurrent = max_concurrent or MOST
        self.reported = reported
        self.in_flight = 0
        server.concurrency.most = max(server.concurrency.most, self.max_concurrent)

    @property
    def limit(self) -> int:
        """Calls of this job that may be under way now."""
        return min(self.max_concurrent, self.server.concurrency.limit)


@runtime_checkable
class _HasLimits(Protocol):
    """A client that knows whose limits apply to its requests."""

    def limit_key(self, model: str | None = None) -> LimitKey: ...


def limiter_of(client: BaseLLMClient, model: str | None = None, max_concurrent: int | None = None) -> Limiter:
    """Return a limiter for a job, on the running event loop.

    Jobs with the same server, key and model share what the server grants.

    Args:
        client: The client that will answer.
        model: The model, unless it is the client's.
        max_concurrent: Most calls of the job at once; `None` leaves it to the server, up to 256.

    Returns:
        The limiter.

    Raises:
        ConfigurationError: If the maximum is less than 1.
    """
    if isinstance(client, _HasLimits):
        return Limiter(server_limiter(client.limit_key(model)), max_concurrent)
    # A client of another package: only its errors tell about limits.
    key = LimitKey(client.provider_name, type(client), model or "")
    return Limiter(server_limiter(key), max_concurrent, reported=False)
