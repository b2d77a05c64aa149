"""The answers to many items, in the order in which they come."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar

from llmkit.clients.limiter.slot import Slot, current_slot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from llmkit.clients.limiter.limiter import Limiter

T = TypeVar("T")
R = TypeVar("R")


async def answered(
    items: Iterable[T], call: Callable[[T], Awaitable[R]], *, limiter: Limiter
) -> AsyncGenerator[tuple[T, R | Exception], None]:
    """Call a function for each item, as many at once as a limiter allows.

    Items are taken when their call starts, so that only what is under way is in memory. Cancelling ends
    what is under way; answers that came before are yielded first.

    Args:
        items: What to call the function with.
        call: The function.
        limiter: How many calls at once; see `limiter_of`.

    Yields:
        Each item with the function's result or its exception, in the order in which they end.
    """
    job = _Job(items, call, limiter)
    cancelled: asyncio.CancelledError | None = None
    try:
        while True:
            try:
                pair = await job.next()
            except asyncio.CancelledError as error:
                # What was answered is handed over all the same, and then the cancellation goes on.
                cancelled = error
                await job.stop()
                continue
            if pair is None:
                break
            yield pair
    finally:
        await job.stop()
    if cancelled is not None:
        raise cancelled


class _Job(Generic[T, R]):
    """The calls of one job."""

    def __init__(self, items: Iterable[T], call: Callable[[T], Awaitable[R]], limiter: Limiter) -> None:
        self._items = iter(items)
        self._call = call
        self._limiter = limiter
        # Calls are started whenever another one ends, in whichever task that is.
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[tuple[T, R | Exception]], Slot] = {}
        self._ended: deque[tuple[T, R | Exception]] = deque()
        self._failure: BaseException | None = None
        self._exhausted = False
        self._waiter: asyncio.Future[None] | None = None
        # A call that starts a job waits for it; the job's calls must not wait for that call's place.
        if (outer := current_slot.get()) is not None:
            outer.release()
        limiter.server.join(self._start_more)
        self._start_more()

    async def next(self) -> tuple[T, R | Exception] | None:
        """Return the next item with its result; `None` after the last one."""
        while not self._ended:
            if self._exhausted and not self._tasks:
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure
                return None
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pair = self._ended.popleft()
        self._start_more()
        return pair

    async def stop(self) -> None:
        """Start nothing more, cancel what waits for its answer, and wait for the end of all."""
        self._exhausted = True
        self._limiter.server.leave(self._start_more)
        for task, slot in self._tasks.items():
            slot.stopped = True
            if not slot.answered:
                task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # for the tasks' callbacks

    def _start_more(self) -> None:
        """Start calls while there is room, unless results wait to be fetched."""
        limiter = self._limiter
        while (
            not self._exhausted
            and len(self._tasks) + len(self._ended) < limiter.max_concurrent
            and limiter.server.has_room
        ):
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                self._wake()  # another job's end may have led here, while `next` waits
            except Exception as error:  # noqa: BLE001 - raised by `next`, after the answers under way
                self._fail(error)
            else:
                self._start(item)

    def _start(self, item: T) -> None:
        slot = Slot(self._limiter)
        task = self._loop.create_task(self._answer(item, slot), context=self._context.copy())
        self._tasks[task] = slot
        task.add_done_callback(self._done)

    async def _answer(self, item: T, slot: Slot) -> tuple[T, R | Exception]:
        current_slot.set(slot)
        try:
            return item, await self._call(item)
        except Exception as error:  # noqa: BLE001 - a result, too
            return item, error

    def _done(self, task: asyncio.Task[tuple[T, R | Exception]]) -> None:
        slot = self._tasks.pop(task)
        if task.cancelled():
            if not slot.stopped:
                self._fail(asyncio.CancelledError())
        elif (error := task.exception()) is not None:  # an interrupt
            self._fail(error)
        else:
            pair = task.result()
            self._ended.append(pair)
            slot.report(pair[1])
        slot.release()
        self._wake()

    def _wake(self) -> None:
        """Let `next` look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: BaseException) -> None:
        """Start nothing more; the error is raised after the answers that are still to come."""
        self._exhausted = True
        self._failure = self._failure or error
        self._wake()
