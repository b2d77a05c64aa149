"""A job whose rows several processes ask for: what they agree on, and which of them asks for what."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from llmkit.core import processes
from llmkit.records import CallContext, calling, current_context
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from llmkit.frames.answers.protocol import Answer, AnswerStore

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at what another process asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedJob:
    """What the workers of one job agree on.

    Attributes:
        id: Its identifier, under which they share `max_cost`.
        context: Where the verb was called: the notebook, the cell and the labels.
        owner: The process in which it was called.
    """

    id: str = field(default_factory=lambda: os.urandom(8).hex())
    context: CallContext = field(default_factory=current_context)
    owner: str = field(default_factory=processes.owner)


_current: ContextVar[SharedJob | None] = ContextVar("llmkit_shared_job", default=None)


def current_shared_job() -> SharedJob | None:
    """Return the job that a verb called now is a part of."""
    return _current.get()


@contextmanager
def part_of(job: SharedJob) -> Iterator[None]:
    """Make the verbs called inside the block parts of a job."""
    token = _current.set(job)
    try:
        with calling(**{one.name: getattr(job.context, one.name) for one in fields(CallContext)}):
            yield
    finally:
        _current.reset(token)


class SharedRequests:
    """The requests of one part of a job, some of which another part may ask for at the same time.

    Args:
        store: The store that the parts share.
        part: Identifier of this part.
        known: The answers at its beginning; further ones are added.
    """

    def __init__(self, store: AnswerStore, part: str, known: dict[bytes, Answer]) -> None:
        self._store = store
        self._part = part
        self._known = known

    async def ask(
        self,
        wanted: list[bytes],
        ask: Callable[[list[bytes]], Awaitable[None]],
        took: Callable[[Answer], object],
    ) -> None:
        """Ask for what no other part asks for, and take what others ask for as soon as it is there.

        Args:
            wanted: The requests.
            ask: Asks for some of them, and stores the answers.
            took: Called with each answer to a request of another part.
        """
        left, pause = wanted, FIRST_PAUSE
        while left:
            claimed = await in_thread(self._store.claim, left, self._part)
            try:
                for answer in await self._answered(left):
                    self._known[answer.key] = answer
                    took(answer)
                    left = [key for key in left if key != answer.key]
                mine = [key for key in left if key in claimed]
                await ask(mine)
            finally:
                await in_thread(self._store.release, self._part)
            left = [key for key in left if key not in claimed]
            if left:
                await asyncio.sleep(pause)
                pause = FIRST_PAUSE if mine else min(2 * pause, LONGEST_PAUSE)

    async def _answered(self, keys: list[bytes]) -> list[Answer]:
        """Return the answers that others have stored since the beginning."""
        found = await in_thread(self._store.get, keys)
        return [answer for key, answer in found.items() if answer != self._known.get(key)]
