"""The connection to one MCP server, on an event loop that the servers of a process share."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.content.tools import problems
from llmkit.core.background import Background
from llmkit.core.errors import (
    BadResponseError,
    ConfigurationError,
    LLMClientError,
    LLMTimeoutError,
    ProviderNotAvailableError,
)
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmkit.clients.mcp.endpoint import Endpoint

logger = logging.getLogger("llmkit.mcp")

CLOSE_GRACE = 8.0
"""Seconds that a server has to end; the `mcp` package kills it after about 5."""

PAGES = 100
"""Pages of tools that are read at most."""

_CLOSED = -32000
"""The code by which the `mcp` package says that the connection has ended."""

background = Background("llmkit-mcp", CLOSE_GRACE)


class EndedError(ProviderNotAvailableError):
    """The server ended, or its session did."""


class Connection:
    """Connects at the first request, and again at the next one after the server has ended.

    Args:
        endpoint: Where the server is.
        name: What it is called in errors.
        start_timeout: Seconds that it may take to start.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, endpoint: Endpoint, name: str, start_timeout: float, timeout: float) -> None:
        self._endpoint = endpoint
        self._name = f"The MCP server {name}"
        self._start_timeout = start_timeout
        self._timeout = timeout
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = asyncio.Lock()
        self._session: Any = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Event | None = None
        self._log = ""
        self.changed = True

    @property
    def longest(self) -> float:
        """Seconds that a call takes at most, if the server has to start first."""
        return self._start_timeout + self._timeout

    async def connect(self) -> None:
        """Start the server unless it runs."""
        await self._connected()

    async def listed(self) -> list[dict[str, Any]]:
        """Return what the server says about its tools, all pages."""
        try:
            return await self._pages()
        except EndedError:  # it had ended before, and asking again changes nothing
            return await self._pages()

    async def _pages(self) -> list[dict[str, Any]]:
        await self._connected()
        self.changed = False
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self._page(cursor)
            found += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return found
        raise BadResponseError(
            f"{self._name} lists more than {PAGES} pages of tools.", hint="Report it to the server's authors."
        )

    async def _page(self, cursor: str | None) -> dict[str, Any]:
        from mcp.types import PaginatedRequestParams

        params = PaginatedRequestParams(cursor=cursor)
        return await self._ask(lambda session: session.list_tools(params=params), "tools/list")

    async def called(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool, once, and return its result."""
        return await self._ask(lambda session: session.call_tool(name, arguments), f"the tool {name!r:.80}")

    async def _ask(self, request: Callable[[Any], Awaitable[Any]], what: str) -> dict[str, Any]:
        session = await self._connected()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await request(session)
        except TimeoutError:
            raise LLMTimeoutError(
                f"{self._name} did not answer within {self._timeout:g} s ({what}).",
                hint="Increase timeout=, or close() the server: the next use starts it again.",
            ) from None
        except Exception as error:  # noqa: BLE001 - the package raises several kinds of its own
            raise self._explained(error, what) from None
        shown: dict[str, Any] = answer.model_dump(mode="json", by_alias=True)
        return shown

    def _explained(self, error: Exception, what: str) -> LLMClientError:
        """Return our error for one of the `mcp` package; the server's words are cut and have no keys."""
        import anyio
        from pydantic import ValidationError

        code = getattr(getattr(error, "error", None), "code", None)
        said = _words(str(error))
        broken = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, ConnectionError)
        if code == _CLOSED or isinstance(error, broken) or said == "Session terminated":
            self._end()
            return EndedError(
                f"{self._name} has ended ({what}){self._last_words()}.",
                hint="What was asked may or may not have been done; the next use starts it again.",
            )
        if code is not None:
            return LLMClientError(f"{self._name} refuses {what}: {said}.", hint="Change the call.")
        if isinstance(error, ValidationError):
            said = _words(problems(error))
        return BadResponseError(
            f"{self._name} sent an invalid answer to {what}: {said}.",
            hint="Report it to the server's authors.",
        )

    async def _connected(self) -> Any:
        if self._pid != os.getpid():  # a fork has neither the loop nor the server's pipes
            self._reset()
        async with self._lock:
            if self._session is None or self._task is None or self._task.done():
                await self._start()
            return self._session

    async def _start(self) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.changed = True
        task = self._task = asyncio.create_task(self._serve(ready))
        await asyncio.wait([ready], timeout=self._start_timeout)
        if ready.done():
            ready.result()
            return
        ready.cancel()
        task.cancel()
        raise LLMTimeoutError(
            f"{self._name} did not start within {self._start_timeout:g} s{self._last_words()}.",
            hint="Run its command in a terminal to see why, or increase start_timeout=.",
        )

    async def _serve(self, ready: asyncio.Future[None]) -> None:
        """Hold the connection open; one task enters and leaves it, as anyio demands."""
        from mcp import ClientSession

        closing = self._closing = asyncio.Event()
        session: Any = None
        with tempfile.NamedTemporaryFile("w", prefix="llmkit-mcp-", suffix=".log") as log:
            self._log = log.name
            try:
                async with AsyncExitStack() as stack:
                    read, write = await stack.enter_async_context(self._endpoint.opened(log))
                    session = await stack.enter_async_context(
                        ClientSession(read, write, message_handler=self._noticed)
                    )
                    await session.initialize()
                    self._session = session
                    if not ready.done():
                        ready.set_result(None)
                    await closing.wait()
            except Exception as error:  # noqa: BLE001 - whoever waits for the start gets it
                if not ready.done():
                    ready.set_exception(self._no_start(error))
                logger.debug("%s: %s", self._name, redact(repr(error)))
            finally:
                if self._session is session:
                    self._session = None

    def _no_start(self, error: BaseException) -> LLMClientError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, LLMClientError):
            return error
        if isinstance(error, FileNotFoundError | PermissionError) and self._endpoint.command:
            return ConfigurationError(
                f"{self._name} cannot be started: no program {self._endpoint.command[0]!r:.80} can be run.",
                hint="Install it, or give its full path.",
            )
        status = getattr(getattr(error, "response", None), "status_code", None)
        said = f"HTTP status {status}" if status else _words(str(error)) or type(error).__name__
        return ProviderNotAvailableError(
            f"{self._name} did not start: {said}{self._last_words()}.",
            hint="Run its command in a terminal to see why."
            if self._endpoint.command
            else "Check that it runs, its address and its headers; older servers need transport='sse'.",
        )

    def _last_words(self) -> str:
        """Return the last line that the program wrote to its standard error."""
        with suppress(OSError):  # Windows does not let us open it twice
            lines = Path(self._log).read_bytes()[-4000:].decode("utf-8", "replace").split("\n")
            if said := [line for line in lines if line.strip()]:
                return f"; it wrote: {_words(said[-1])}"
        return ""

    async def _noticed(self, message: Any) -> None:
        """See that the server says that its tools have changed."""
        if type(getattr(message, "root", message)).__name__ == "ToolListChangedNotification":
            self.changed = True

    def _end(self) -> None:
        """Let the connection close; called on its loop."""
        self._session = None
        if self._closing is not None:
            self._closing.set()

    async def close(self) -> None:
        """End the server and wait for it."""
        task = self._task
        self._end()
        if task is not None and not task.done():
            await asyncio.wait([task], timeout=CLOSE_GRACE)

    def drop(self) -> None:
        """End the server without waiting, from any thread."""
        if self._closing is not None and self._pid == os.getpid():
            with suppress(RuntimeError):  # the loop is closed, and the server with it
                background.loop().call_soon_threadsafe(self._end)


def _words(text: str) -> str:
    """Return a server's words as one short line without keys and control characters."""
    return redact(re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip())[:300].rstrip(". ")
