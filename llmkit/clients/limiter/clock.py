"""The clock of a limiter: the event loop's, or a test's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it."""
        ...


class Clock(Protocol):
    """Time that passes, and calls at a later time."""

    def time(self) -> float:
        """Return seconds since some moment in the past."""
        ...

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Timer:
        """Call a function after some seconds."""
        ...


class LoopClock:
    """The running event loop's clock; it holds no loop, so that a closed one can be collected."""

    def time(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Timer:
        """Call a function after some seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)
