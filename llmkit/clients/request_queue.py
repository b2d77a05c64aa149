"""Calls with a limit of how many run at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
R = TypeVar("R")


class RequestQueue:
    """Runs a bounded number of calls concurrently.

    Args:
        max_concurrent: Maximum number of concurrent calls, at least 1.

    Raises:
        ConfigurationError: If it is less than 1.

    Example:
        >>> async def double(x: int) -> int:
        ...     return 2 * x
        >>> asyncio.run(RequestQueue(max_concurrent=2).process_request(double, 21))
        42
    """

    def __init__(self, max_concurrent: int = 5) -> None:
        if max_concurrent < 1:
            raise ConfigurationError(f"max_concurrent must be >= 1, got {max_concurrent}.")
        self.max_concurrent = max_concurrent
        # A semaphore is bound to one loop, but a queue may be used from several.
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def process_request(self, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a coroutine function as soon as the limit allows.

        Args:
            func: The function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            Its return value.
        """
        loop = asyncio.get_running_loop()
        async with self._rooms.setdefault(loop, asyncio.Semaphore(self.max_concurrent)):
            return await func(*args, **kwargs)
