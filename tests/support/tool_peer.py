"""A server that calls tools, for code that waits and for other processes: `Peer` on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from tests.support.peer import Peer
from tests.support.tool_servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = SERVERS["chat"]
MODEL = f"openai:{CHAT.model}"


def script(peer: Peer, *answers: object) -> None:
    """Set what the server answers from now on: bytes, or a function of the request's body."""
    peer.asked.clear()
    peer.bodies.clear()
    peer.scripts = {CHAT.model: [one if isinstance(one, list) or callable(one) else [one] for one in answers]}


@contextlib.contextmanager
def serving() -> Iterator[Peer]:
    """Run a server until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    peer = asyncio.run_coroutine_threadsafe(Peer().__aenter__(), loop).result(10)
    try:
        yield peer
    finally:
        asyncio.run_coroutine_threadsafe(peer.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
