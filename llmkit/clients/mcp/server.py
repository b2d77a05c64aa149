"""`llmkit.mcp`: the tools of an MCP server, for `tools=` and `-x mcp:NAME`."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import weakref
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmkit.clients.cassettes.replay import current_mode
from llmkit.clients.mcp import recorded_tools
from llmkit.clients.mcp.connection import Connection, background
from llmkit.clients.mcp.convert import digest, names_of, result_of, schema_of
from llmkit.clients.mcp.endpoint import endpoint_of
from llmkit.content.tools import Tool, ToolSource
from llmkit.core import settings
from llmkit.core.errors import BadResponseError, ConfigurationError, ProviderNotAvailableError
from llmkit.core.suggestions import did_you_mean, texts

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence
    from types import TracebackType

    from llmkit.clients.mcp.endpoint import Transport
    from llmkit.content.parts import ToolResult
    from llmkit.content.tools import Approve

T = TypeVar("T")

logger = logging.getLogger("llmkit.mcp")

_TICK = 0.1
"""Seconds between two chances for an interrupt, while a thread waits for a server."""


class MCPServer(ToolSource):
    """The tools of an MCP server; `llmkit.mcp` makes it.

    Iterating asks the server for its tools. It starts at the first use, and again if it has ended since. It
    ends with `close()`, with the process, or when nothing refers to it any more.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        identity: str,
        prefix: str,
        only: list[str],
        approve: Approve,
    ) -> None:
        self._connection = connection
        self._name = name
        self._identity = identity
        self._prefix = prefix
        self._only = only
        self._approve: Approve = approve
        self._described: set[str] = set()
        weakref.finalize(self, connection.drop).atexit = False  # the loop ends its servers then

    def __repr__(self) -> str:
        return f"MCPServer({self._name!r})"

    @property
    def title(self) -> str:
        """What errors and the chat call it."""
        return self._name

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._made(self._offered()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _offered(self) -> list[dict[str, Any]]:
        """Return the server's list of tools; under replay the recorded one, if the server is not asked."""
        recorded = recorded_tools.read(self._identity)
        if recorded is not None and current_mode() == "only":
            return recorded
        try:
            listed = waited(self._listed())
        except (ProviderNotAvailableError, ConfigurationError) as error:
            if recorded is None:
                raise
            logger.warning("%s The tools that it had when the answers were recorded are offered.", error)
            return recorded
        recorded_tools.keep(self._identity, self._name, listed)
        return listed

    async def _listed(self) -> list[dict[str, Any]]:
        listed = await self._connection.listed()
        self._described = {digest(self._identity, told) for told in listed}
        return listed

    def close(self) -> None:
        """End the server, or the session with it."""
        waited(self._connection.close())

    def _made(self, listed: Sequence[Mapping[str, Any]]) -> list[Tool]:
        """Return the tools that a server lists.

        Raises:
            BadResponseError: If names or schemas are invalid, or a tool of `only=` is missing.
        """
        wanted = [told for told in listed if not self._only or told["name"] in self._only]
        if missing := set(self._only) - {told["name"] for told in wanted}:
            there = ", ".join(sorted(told["name"] for told in listed))[:500]
            raise BadResponseError(
                f"The MCP server {self._name} has no tool {min(missing)!r}.", hint=f"It has: {there}."
            )
        names = names_of(wanted, self._prefix, self._name)
        return [self._tool(name, told) for name, told in zip(names, wanted, strict=True)]

    def _tool(self, name: str, told: Mapping[str, Any]) -> Tool:
        pinned = digest(self._identity, told)
        return Tool(
            name=name,
            description=str(told.get("description") or told.get("title") or ""),
            parameters=schema_of(told, self._name),
            function=RemoteFunction(self, told["name"], pinned),
            approve=self._approve,
            timeout=self._connection.longest,
            pinned=pinned,
        )

    async def call(self, name: str, pinned: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool as it was described; runs on the loop of the servers.

        Raises:
            BadResponseError: If the server describes it differently now: what was allowed was another tool.
        """
        await self._connection.connect()
        if self._connection.changed or not self._described:
            await self._listed()
        if pinned not in self._described:
            raise BadResponseError(
                f"The MCP server {self._name} has changed the description of {name!r:.80}.",
                hint="Look at it, and allow it anew in another run.",
            )
        return result_of(name, await self._connection.called(name, dict(arguments)))


class RemoteFunction:
    """What runs a tool: blocking as a function, or `run_async` on any event loop."""

    def __init__(self, server: MCPServer, name: str, pinned: str) -> None:
        self._server = server
        self._pinned = pinned
        self.__name__ = name

    def __call__(self, **arguments: Any) -> ToolResult:
        """Call the tool and wait; an interrupt cancels the call."""
        return waited(self._server.call(self.__name__, self._pinned, arguments))

    async def run_async(self, **arguments: Any) -> ToolResult:
        """Call the tool; cancelling the caller cancels the call."""
        work = self._server.call(self.__name__, self._pinned, arguments)
        return await asyncio.wrap_future(background.submit(work))


def waited(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop of the servers and wait; an interrupt cancels it."""
    future = background.submit(work)
    try:
        while True:
            try:
                return future.result(_TICK)
            except TimeoutError:
                if future.done():
                    return future.result()
    except BaseException:
        future.cancel()
        raise


def mcp(
    server: str | Sequence[str],
    *,
    env: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    name: str = "",
    prefix: str = "",
    only: Sequence[str] = (),
    approve: Approve = "always",
    timeout: float = 30.0,
    start_timeout: float = 60.0,
    transport: Transport = "http",
) -> MCPServer:
    """Return the tools of an MCP server, for `tools=`.

    The server starts at the first use. It is not trusted: each call needs approval by default, and an
    approval for the session ends when the server changes a tool's description.

    Args:
        server: Address of a server (`"https://…/mcp"`), or the command of one that runs here and speaks over
            its standard input and output (`["uvx", "mcp-server-git"]`).
        env: Names of environment variables for a command. It gets `PATH`, `HOME` and the like besides, and
            never the key of a model provider.
        headers: Headers for an address: `{"Authorization": "Bearer ${DOCS_TOKEN}"}`; `${…}` is a variable.
        name: What errors call it; by default the address or command.
        prefix: Put before the names of its tools, for servers whose tools have the same names.
        only: Names of the tools to take; by default all.
        approve: Whether somebody has to allow a call, as for `llmkit.tool`.
        timeout: Seconds that a call may take.
        start_timeout: Seconds that the server may take to start.
        transport: `"http"` is streamable HTTP, `"sse"` what older servers speak.

    Returns:
        The server: iterating gives `Tool`s. `close()` or `with` ends it; it ends with the process, too.

    Raises:
        ConfigurationError: If the arguments do not fit, or the extra `mcp` is not installed.

    Example:
        ```python
        llmkit.run("What changed?", tools=llmkit.mcp(["uvx", "mcp-server-git"]))
        ```
    """
    if importlib.util.find_spec("mcp") is None:
        raise ConfigurationError(
            "MCP servers need mcp, which is not installed.", hint='pip install "jupyter-llmkit[mcp]"'
        )
    if not timeout > 0 or not start_timeout > 0:
        raise ConfigurationError("timeout and start_timeout must be positive numbers of seconds.")
    endpoint = endpoint_of(server, texts(env, "env"), headers, transport)
    name = name or endpoint.title
    connection = Connection(endpoint, name, start_timeout, timeout)
    identity = "\n".join((endpoint.url, *endpoint.command))
    return MCPServer(
        connection, name=name, identity=identity, prefix=prefix, only=texts(only, "only"), approve=approve
    )


_named: dict[str, tuple[Mapping[str, Any], MCPServer]] = {}
"""The servers of the user's settings that were used, by name."""


def tools_named(name: str) -> list[Tool]:
    """Return the tools of a server of the user's own settings, by `mcp:NAME`.

    Raises:
        ConfigurationError: If the settings do not have the server.
    """
    known = settings.load().mcp
    key = name.removeprefix("mcp:")
    if key not in known:
        there = f"Known: {', '.join(known)}." if known else f"Add [mcp.{key}] with command or url."
        raise ConfigurationError(
            f"Your settings have no MCP server {key!r:.80}.",
            hint=f"{did_you_mean(key, known, there)} The file is {settings.user_file()}.",
        )
    options = dict(known[key])
    if key not in _named or _named[key][0] != options:
        if key in _named:
            _named.pop(key)[1].close()
        place: Any = options.get("url") or options.get("command")
        others = {word: value for word, value in options.items() if word not in {"url", "command"}}
        _named[key] = options, mcp(place, name=key, **others)
    return list(_named[key][1])
