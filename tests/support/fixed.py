"""A provider on loopback, in a thread: fixed bytes by the model's name, in any of the protocols."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.dialects import DIALECTS, dump

STREAM = "text/event-stream"


class Fixed:
    """Answers to a plain request and to a streamed one, by model.

    Attributes:
        answers: For each model a body, and the events of a stream; one of them may be `None`.
        asked: The requests' bodies.
    """

    def __init__(self):
        self.answers, self.asked = {}, []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                found = re.search(r"/models/([^:]+):(\w+)", self.path)
                name = found[1] if found else body["model"]
                streamed = "stream" in found[2] if found else body.get("stream", False)
                owner.asked.append(body)
                plain, stream = owner.answers[name]
                data = stream if streamed else plain
                self.send_response(200)
                self.send_header("Content-Type", STREAM if streamed else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.environment = {
            "OPENAI_BASE_URL": f"{self.root}/v1", "ANTHROPIC_BASE_URL": self.root,
            "GOOGLE_GEMINI_BASE_URL": self.root,
            "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "GOOGLE_API_KEY": "k",
        }  # fmt: skip

    def text(self, model, said, protocol="openai"):
        """Answer with a text."""
        d = DIALECTS[protocol]
        end = {"openai": "stop", "anthropic": "end_turn", "google": "STOP"}[protocol]
        self.answers[model] = (dump(d.whole(said, end)), d.start() + d.piece(said) + d.end(end))

    def url(self, protocol):
        """The base URL for a protocol."""
        return f"{self.root}/v1" if protocol == "openai" else self.root

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self._http.shutdown()
        self._http.server_close()
