"""From a source of text to an answer: the books of a call are closed however it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from concurrent.futures import Future
    from types import TracebackType

    from llmkit.clients.engine.call import Call
    from llmkit.content.messages import LLMResponse

logger = logging.getLogger("llmkit.clients.accounting")


class Source(Protocol):
    """Where a call's text comes from."""

    async def next(self) -> list[str] | None:
        """Wait for the next pieces; `None` at the end."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class Accounting:
    """Closes a call's books and its source at the end of an `async with` block, however it ends."""

    def __init__(self, call: Call, source: Source) -> None:
        self._call = call
        self._source = source

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._call.fail(error)
        # The record is handed over before anything is awaited: a second interrupt cannot lose it.
        future = self._call.settle()
        await self._source.aclose()
        if future is not None and not isinstance(error, GeneratorExit):
            await _acknowledged(future)


async def accounted(call: Call, source: Source) -> AsyncGenerator[str, None]:
    """Yield an answer's pieces and close the call's books, however it ends."""
    async with Accounting(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
                yield text


async def finished(call: Call, source: Source) -> LLMResponse:
    """Read an answer to its end, keep its books and return it."""
    async with Accounting(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
    assert call.response is not None
    return call.response


async def _acknowledged(future: Future[bool]) -> None:
    """Wait until a record is safe; that it could not be written does not cost the answer."""
    if not future.done():
        await _ended(future)
    if (problem := future.exception()) is not None:
        logger.warning("The call was not recorded: %s", problem)


_waiting: dict[tuple[asyncio.AbstractEventLoop, Future[bool]], list[asyncio.Future[None]]] = {}
"""Who waits for a future, which calls may share, on which event loop."""


async def _ended(future: Future[bool]) -> None:
    """Wait for a future; its end wakes an event loop once, however many calls wait there."""
    loop = asyncio.get_running_loop()
    waiters = _waiting.get((loop, future))
    if waiters is None:
        waiters = _waiting[loop, future] = []
        future.add_done_callback(partial(_wake, loop))
    waiter: asyncio.Future[None] = loop.create_future()
    waiters.append(waiter)  # in time, even if the future has ended by now: the loop looks at them later
    await waiter


def _wake(loop: asyncio.AbstractEventLoop, future: Future[bool]) -> None:
    """Wake those who wait on a loop; called on the thread that ended the future."""
    waiters = _waiting.pop((loop, future))
    with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
        loop.call_soon_threadsafe(_release, waiters)


def _release(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():  # else its task was cancelled
            waiter.set_result(None)
