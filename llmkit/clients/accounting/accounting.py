"""Reads a call's source to the end and completes its record, however it ends."""

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
    """The source of a call's text."""

    async def next(self) -> list[str] | None:
        """Return the next chunks; `None` at the end."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class Accounting:
    """Completes a call's record and closes its source at the end of an `async with` block."""

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
        # The record is handed over before anything is awaited, so that a second interrupt cannot lose it.
        try:
            future = self._call.settle()
        finally:
            await self._source.aclose()
        if future is not None and not isinstance(error, GeneratorExit):
            await acknowledged(future)


async def accounted(call: Call, source: Source) -> AsyncGenerator[str, None]:
    """Yield an answer's chunks and complete the call's record, however it ends."""
    async with Accounting(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
                yield text


async def finished(call: Call, source: Source) -> LLMResponse:
    """Read an answer to its end, record the call and return the answer."""
    async with Accounting(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
    assert call.response is not None
    return call.response


async def acknowledged(future: Future[bool]) -> None:
    """Wait until a record is committed; a failed write is logged and does not lose the answer."""
    if not future.done():
        await ended(future)
    if (problem := future.exception()) is not None:
        logger.warning("The call was not recorded: %s", problem)


_waiting: dict[tuple[asyncio.AbstractEventLoop, Future[bool]], list[asyncio.Future[None]]] = {}
"""The waiters of each shared future, by event loop."""


async def ended(future: Future[bool]) -> None:
    """Wait for a future. When it completes, each event loop is woken once, however many calls wait there."""
    loop = asyncio.get_running_loop()
    waiters = _waiting.get((loop, future))
    if waiters is None:
        waiters = _waiting[loop, future] = []
        future.add_done_callback(partial(_wake, loop))
    waiter: asyncio.Future[None] = loop.create_future()
    waiters.append(waiter)  # safe even if the future is done: the loop runs the callback later
    await waiter


def _wake(loop: asyncio.AbstractEventLoop, future: Future[bool]) -> None:
    """Wake the waiters of a loop; called on the thread that completed the future."""
    waiters = _waiting.pop((loop, future))
    with suppress(RuntimeError):  # the loop is closed, so nothing waits
        loop.call_soon_threadsafe(_release, waiters)


def _release(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():  # otherwise its task was cancelled
            waiter.set_result(None)
