"""A fake server of the providers: canned bytes, so that it is never what is measured.

An address below `/chunked` answers a stream as real servers do, each event in an HTTP chunk of its own;
any other one sends it as one body of known length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import frames

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATHS = {b"/chat/completions": "openai", b"/v1/messages": "anthropic", b"generateContent": "google"}
_LENGTH = b"content-length:"
_RESULTS = re.compile(rb"/files/(\w+)-(\d+)/content")
"""A file of results: the identifier of its job, and its number of rows."""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start the server in a process of its own, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate()  # the end of its input is the end of it


class Canned:
    """All answers, ready to send."""

    def __init__(self) -> None:
        json, sse = "application/json", "text/event-stream; charset=utf-8"
        self.documents = {name: _sized(body, json) for name, body in frames.documents().items()}
        events = frames.streams()
        self.bursts = {name: _sized(b"".join(each), sse) for name, each in events.items()}
        self.chunked = {name: _chunked(each, sse) for name, each in events.items()}

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Return what to send for one request."""
        line = head.partition(b"\r\n")[0]
        if (found := _RESULTS.search(line)) is not None:
            return _sized(self._results(found[1], int(found[2])), "application/jsonl")
        if line.startswith((b"POST /v1/files ", b"POST /v1/batches ")):
            return _sized(_MADE, "application/json")
        provider = next((name for path, name in _PATHS.items() if path.lower() in line.lower()), None)
        if provider is None:
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        compact = body.replace(b'"stream": true', b'"stream":true')
        if b"streamGenerateContent" not in line and b'"stream":true' not in compact:
            return self.documents[provider]
        return (self.chunked if b" /chunked/" in line else self.bursts)[provider]

    def _results(self, job: bytes, rows: int) -> bytes:
        """Return the file of results of a batch."""
        body = self.documents["openai"].partition(b"\r\n\r\n")[2]
        before, after = b'{"id":"batch_req_1","custom_id":"%b-r', b'","error":null,"response":%b}\n'
        response = b'{"status_code":200,"request_id":"req_1","body":%b}' % body
        return b"".join(before % job + b"%d" % row + after % response for row in range(rows))


class Connection(asyncio.Protocol):
    """One connection, kept alive for any number of requests."""

    def __init__(self, canned: Canned) -> None:
        self._canned = canned
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._request()) is not None:
            self._transport.write(self._canned.answer(*request))

    def _request(self) -> tuple[bytes, bytes] | None:
        """Take head and body of a request that has arrived."""
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH))
        length = int(next(lengths, _LENGTH + b"0")[len(_LENGTH) :])
        if not blank or len(rest) < length:
            return None
        self._received = rest[length:]
        return head, rest[:length]


def _sized(body: bytes, kind: str) -> bytes:
    return _head(kind) + f"content-length: {len(body)}\r\n\r\n".encode() + body


def _chunked(events: list[bytes], kind: str) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return _head(kind) + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _head(kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nx-request-id: req_1\r\n".encode()


_MADE = json.dumps(
    {"id": "batch_1", "status": "in_progress", "created_at": 1795856400, "request_counts": {"total": 0}}
).encode()
"""A file or a batch that was made."""


async def _serve() -> None:
    canned = Canned()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(canned), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
