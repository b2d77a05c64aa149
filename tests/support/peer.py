"""A raw server on loopback: bytes on a socket, chosen by the model's name in the request.

A wire format that names no `model` in its body gets the first script.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Silence for some seconds."""

    seconds: float


@dataclass(frozen=True)
class Forever:
    """The same bytes again and again, until the client leaves."""

    data: bytes
    every: float = 0.03


RESET = "reset"
"""Close the connection with an RST."""
SILENCE = "silence"
"""Keep the connection open and say nothing more, until the client leaves."""


def http(status, body=b"", *headers, kind="application/json"):
    """An HTTP answer, whole and well formed."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def events(body, *headers):
    """A stream that is over when its bytes are."""
    return http(200, body, *headers, kind="text/event-stream")


def opening(*headers, kind="text/event-stream"):
    """The head of an answer whose body lasts as long as its connection."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunked(*pieces):
    """A stream in chunks of the sender's choice."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Peer:
    """The server: one script of answers for each model name; the last answer of a script repeats.

    An answer may be a function of the request's body. An event among its steps is set when it comes to it.

    Args:
        tls: The server's side of TLS; plain HTTP without.

    Attributes:
        asked: When each model's requests came, in the loop's time.
        heads: The head of every request.
        bodies: The body of every request, as JSON.
    """

    def __init__(self, tls=None):
        self.tls = tls
        self.scripts = {}
        self.asked = {}
        self.answered = {}
        self.heads = []
        self.bodies = []
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *problem):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader, writer):
        """Answer one request; false if the connection is not to be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        body = await self._body(reader, head)
        name = self._model(head, body) or next(iter(self.scripts))
        times = self.asked.setdefault(name, [])
        times.append(asyncio.get_running_loop().time())
        script = self.scripts[name]
        steps = script[min(len(times), len(script)) - 1]
        self.bodies.append(json.loads(body or b"null"))
        if callable(steps):
            steps = steps(self.bodies[-1])
        for step in steps:
            await self._step(step, reader, writer)
        self.answered.setdefault(name, []).append(asyncio.get_running_loop().time())
        return len(steps) == 1 and isinstance(steps[0], bytes) and b"Connection: close" not in steps[0]

    @staticmethod
    async def _body(reader, head):
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length:
            return await reader.readexactly(int(length[1]))
        body = b""
        while b"chunked" in head.lower() and (size := int(await reader.readline(), 16)):
            body += (await reader.readexactly(size + 2))[:-2]
        return body

    @staticmethod
    def _model(head, body):
        found = re.search(rb"/models/([^:? ]+):", head)
        return found[1].decode() if found else json.loads(body).get("model")

    async def _step(self, step, reader, writer):
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, asyncio.Event):
            step.set()
        elif isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Forever):
            while True:
                writer.write(step.data)
                await writer.drain()
                await asyncio.sleep(step.every)
        elif step == RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        elif step == SILENCE:
            await reader.read()
