"""A server on loopback that gets alerts, as Slack and Teams do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl


class Receiver:
    """Takes JSON by POST.

    Args:
        statuses: What it answers, in order; the last one from then on.
        tls: The server's side of TLS.

    Attributes:
        posts: The bodies, each in the moment when it is answered.
        paths: The paths of all requests, with the method.
    """

    def __init__(self, *statuses: int, tls: ssl.SSLContext | None = None) -> None:
        self._statuses = list(statuses) or [200]
        self.posts: Queue[dict[str, Any]] = Queue()
        self.paths: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Its address; the path is the secret."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/services/T0SECRET/B0SECRET"

    def get(self) -> dict[str, Any]:
        """Return the next body; wait for it."""
        return self.posts.get(timeout=60)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(f"POST {self.path}")
                status = receiver._statuses[0]
                if len(receiver._statuses) > 1:
                    del receiver._statuses[0]
                self.send_response(status)
                if status in {301, 302, 307}:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.posts.put(json.loads(body) | {"type": self.headers["Content-Type"]})

            def do_GET(self) -> None:
                receiver.paths.append(f"GET {self.path}")
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
