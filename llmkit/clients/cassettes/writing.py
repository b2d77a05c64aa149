"""Writes recordings on a thread, because SQLite may wait for a lock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def in_thread(write: Callable[..., None], *arguments: Any) -> None:
    """Wait for a write; a cancelled caller does not take back one that no thread has begun yet."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, write, *arguments))
