"""Sends an answer token by token at its pace, and breaks it where a fault says so."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from llmkit.sandbox.dialects.dialect import Frame, Spare
    from llmkit.sandbox.faults import BreakKind, Fault
    from llmkit.sandbox.journal import SeenRequest

_BUFFER = 16_384
_BEFORE_RESET = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """The time at which each token is due."""

    first_token: float  # seconds
    rate: float  # tokens per second; 0 means all at once

    def due(self, place: int) -> float:
        """Return when a token is due, in seconds.

        Example:
            >>> Pace(0.5, 10).due(5)
            1.0
        """
        return self.first_token + (place / self.rate if self.rate else 0.0)


class Delivery:
    """Sends one response in frames."""

    def __init__(
        self,
        request: web.Request,
        seen: SeenRequest,
        *,
        fault: Fault,
        pace: Pace,
        spare: Spare,
        headers: Mapping[str, str],
    ) -> None:
        self._request = request
        self._seen = seen
        self._fault = fault
        self._pace = pace
        self._spare = spare
        self._response = web.StreamResponse(headers=headers)
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._start = 0.0
        self._pending: BreakKind | None = fault.breaks
        self._breaks: dict[BreakKind, Callable[[], Awaitable[bool]]] = {
            "stall": self._stall,
            "cut": self._cut,
            "reset": self._reset,
            "end": self._end,
            "malformed": self._malformed,
            "error": self._error,
            "ping": self._ping,
        }

    async def send(self, frames: Iterable[Frame]) -> web.StreamResponse:
        """Send the frames, or as many of them as the fault lets through."""
        self._start = self._loop.time()
        await self._response.prepare(self._request)
        for frame in frames:
            if self._breaks_before(frame) and not await self._break():
                return self._response
            if frame.kind == "text":
                await self._wait_for_turn()
            await self._put(frame.data)
        await self._finish()
        return self._response

    def _breaks_before(self, frame: Frame) -> bool:
        enough = frame.kind == "text" and self._seen.chunks >= self._fault.after
        return self._pending is not None and (enough or frame.kind == "close")

    async def _break(self) -> bool:
        """Break the response; return whether it goes on afterwards."""
        kind, self._pending = self._pending, None
        assert kind is not None
        # The client must have received all that comes before the break.
        await self._flush()
        return await self._breaks[kind]()

    async def _wait_for_turn(self) -> None:
        left = self._start + self._pace.due(self._seen.chunks) - self._loop.time()
        if left > 0:
            await self._flush()
            await asyncio.sleep(left)
        self._seen.chunks += 1

    async def _put(self, data: bytes) -> None:
        # Pieces that are due at the same time share one write: at rate 0 this is most of the CPU.
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            await self._flush()

    async def _flush(self) -> None:
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            await self._response.write(data)

    async def _finish(self) -> None:
        await self._flush()
        await self._response.write_eof()

    async def _stall(self) -> bool:
        # Never completes: the handler is cancelled when the client disconnects.
        await self._loop.create_future()
        return False

    async def _cut(self) -> bool:
        if self._request.transport:
            self._request.transport.close()
        return False

    async def _reset(self) -> bool:
        # Without the pause the reset may overtake the pieces in the client's own buffers.
        await asyncio.sleep(_BEFORE_RESET)
        if transport := self._request.transport:
            connection: socket.socket = transport.get_extra_info("socket")
            # With a linger time of 0, closing sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return False

    async def _end(self) -> bool:
        await self._finish()
        return False

    async def _malformed(self) -> bool:
        await self._put(self._spare.malformed)
        return True

    async def _error(self) -> bool:
        await self._put(self._spare.problem)
        await self._finish()
        return False

    async def _ping(self) -> bool:
        while True:
            await self._response.write(self._spare.ping)
            await asyncio.sleep(self._fault.every)
