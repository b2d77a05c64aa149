"""A provider on loopback for the rows of tables: what it answers depends on the prompt."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from llmkit import OpenAIClient

if TYPE_CHECKING:
    from collections.abc import Callable


def said(text: str, finish: str = "stop") -> dict[str, Any]:
    """A whole answer in OpenAI's format: 9 tokens of prompt, 3 of answer."""
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def failure(status: int, message: str, kind: str = "invalid_request_error") -> tuple[int, dict[str, Any]]:
    """An error in OpenAI's format."""
    return status, {"error": {"message": message, "type": kind, "code": kind}}


def fitting(body: dict[str, Any]) -> str:
    """Return an answer of the form that a request asks for; without one, its prompt."""
    if "response_format" not in body:
        return str(body["messages"][-1]["content"])
    fields = body["response_format"]["json_schema"]["schema"]["properties"]
    values = {"string": "x", "boolean": True, "integer": 1, "number": 1.5, "array": []}
    return json.dumps(
        {
            name: field["enum"][0] if "enum" in field else values[field["type"]]
            for name, field in fields.items()
        }
    )


DROPPED = "dropped"
"""In place of an answer: the connection is closed."""

SILENT = "silent"
"""In place of an answer: nothing, until the client leaves."""


class RowServer:
    """OpenAI's wire format on loopback, without the sandbox's mark: its answers cost money.

    Args:
        answer: From the last message's text to a text, a whole body, or a status and a body, or one of the
            words above; with `sees_bodies` from the request's whole body.
        delay: Seconds before each answer.

    Attributes:
        asked: The last messages' texts, as they came.
        answered: Those of them that were answered.
        bodies: The requests' bodies.
        at_once: The most requests that were open at the same time.
        wanted: Number of requests after which ...
        enough: ... is set.
    """

    def __init__(self, answer: Callable[[str], Any] = str.upper, delay: float = 0.0) -> None:
        self.answer = answer
        self.delay = delay
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.sees_bodies = False
        self.at_once = 0
        self.wanted = 0
        self.enough = threading.Event()
        self._open = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def client(self, **options: Any) -> OpenAIClient:
        """A client of this server."""
        return OpenAIClient("k", self.url, **{"model": "gpt-4o-mini", "max_retries": 0, **options})

    def wait_for(self, count: int) -> None:
        """Forget what came so far, and set `enough` after so many requests."""
        for seen in (self.asked, self.answered, self.bodies):
            seen.clear()
        self.enough.clear()
        self.wanted = count

    def is_idle(self) -> bool:
        """Whether all that clients sent before they ended is answered."""
        return not self._open and not self._runner.server.connections

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *problem: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def _run(self) -> None:
        # It cancels what still waits when the server ends.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1].get("text", "")
        self.asked.append(prompt)
        self.bodies.append(body)
        self._open += 1
        if len(self.asked) == self.wanted:
            self.enough.set()
        self.at_once = max(self.at_once, self._open)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            found = self.answer(body if self.sees_bodies else prompt)
            if found is SILENT:
                await self._stop.wait()
        finally:
            self._open -= 1
        if found in (SILENT, DROPPED):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        self.answered.append(prompt)
        if isinstance(found, str):
            found = said(found)
        status, body = found if isinstance(found, tuple) else (200, found)
        return web.json_response(body, status=status)


class StuckServer(RowServer):
    """Answers 40 requests; who comes later waits, until `go_on`."""

    FIRST = 40

    def __init__(self) -> None:
        super().__init__(self._first)

    def go_on(self) -> None:
        """Answer everybody who comes from now on."""
        self.delay, self.answer = 0.0, str.upper

    def _first(self, prompt: str) -> str:
        if len(self.asked) >= self.FIRST:
            self.delay = 3600.0
        return prompt.upper()
