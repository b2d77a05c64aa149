"""The place of one call of a job among those under way."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

from llmkit.clients.limiter.server import server_limiter
from llmkit.core.errors import RateLimitError

if TYPE_CHECKING:
    from llmkit.clients.limiter.limiter import Limiter
    from llmkit.clients.limiter.permit import Permit
    from llmkit.clients.limiter.server import LimitKey
    from llmkit.providers.codec import Request

current_slot: ContextVar[Slot | None] = ContextVar("llmkit_slot", default=None)
"""The slot of the call in whose task this code runs; `None` outside jobs, where nothing is limited."""


class Slot:
    """One call of a job: it counts as under way from its start to its end, but not while it pauses.

    Attributes:
        answered: Whether the last request was answered, so that cancelling the call would lose what is paid.
        stopped: Whether the job sends no further requests.
    """

    __slots__ = ("_held", "_limiter", "_server", "_started", "answered", "stopped")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._server = limiter.server
        self._started = limiter.server.time()
        self.answered = self.stopped = False
        self._held = True
        limiter.server.hold()
        limiter.in_flight += 1

    def release(self) -> None:
        """The call is over, or pauses."""
        if self._held:
            self._held = False
            self._limiter.in_flight -= 1
            self._server.release()

    async def admit(self, key: LimitKey, request: Request) -> Permit:
        """Wait until a request of this call may be sent, to whichever server it goes."""
        if self.stopped:
            raise asyncio.CancelledError
        self.answered = False
        server = server_limiter(key)
        if server is not self._server:  # a fallback, or another key
            self.release()
            self._server = server
        if not self._held:
            await server.hold_again()
            self._held = True
            self._limiter.in_flight += 1
        return await server.admit(request, self)

    def report(self, result: object) -> None:
        """The call has a result, which tells about limits if the client does not."""
        if self._limiter.reported:
            return
        if not isinstance(result, Exception):
            self._server.succeeded()
        elif isinstance(result, RateLimitError):
            self._server.refused(self._started, result.retry_after)


async def admitted(key: LimitKey, request: Request) -> Permit | None:
    """Wait until a request may be sent; only calls of a job wait, and have a permit.

    Args:
        key: Whose limits apply.
        request: The request.

    Raises:
        QuotaExceededError: If a limit will not allow it for minutes.
    """
    slot = current_slot.get()
    return None if slot is None else await slot.admit(key, request)
