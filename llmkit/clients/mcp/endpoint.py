"""Where an MCP server is: a command or an address, and what it may see."""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from llmkit.core import catalog
from llmkit.core.addresses import is_loopback
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import Secret, redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

Transport: TypeAlias = "Literal['http', 'sse']"
"""How an address is spoken to: streamable HTTP, or server-sent events as older servers do."""

_REFERENCE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An MCP server's place.

    Attributes:
        command: Program and arguments; empty for an address.
        env: Names of the environment variables that the program gets beside the harmless ones.
        url: Address; `""` for a command.
        headers: Headers of each request; they are not shown.
        transport: How the address is spoken to.
    """

    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    url: str = ""
    headers: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    transport: Transport = "http"

    @property
    def title(self) -> str:
        """What is shown: not the later arguments, nor an address's query, where keys may be."""
        if self.url:
            parts = urlsplit(self.url)
            return redact(f"{parts.scheme}://{parts.netloc}{parts.path}")
        first, *rest = self.command
        words = [Path(first).name, *(word for word in rest[:1] if not word.startswith("-"))]
        return redact(" ".join(words))

    @asynccontextmanager
    async def opened(self, log: Any) -> AsyncGenerator[tuple[Any, Any]]:
        """Start or reach the server; yields the streams of a session.

        Args:
            log: File that gets what the program writes to its standard error.
        """
        if self.command:
            from mcp.client.stdio import StdioServerParameters, stdio_client

            given = {name: variable(name) for name in self.env}
            server = StdioServerParameters(command=self.command[0], args=list(self.command[1:]), env=given)
            async with stdio_client(server, errlog=log) as (read, write):
                yield read, write
            return
        headers = {name: secret.reveal() for name, secret in self.headers.items()}
        if self.transport == "sse":
            from mcp.client.sse import sse_client

            async with sse_client(self.url, headers=headers) as (read, write):
                yield read, write
            return
        from mcp.client import streamable_http

        # Its releases 1 and 2 use different HTTP libraries with one interface.
        library: Any = getattr(streamable_http, "httpx2", None) or vars(streamable_http)["httpx"]
        limits = library.Timeout(30, read=300)
        async with (
            library.AsyncClient(headers=headers, timeout=limits, follow_redirects=False) as client,
            streamable_http.streamable_http_client(self.url, http_client=client) as streams,
        ):
            yield streams[0], streams[1]


def endpoint_of(
    server: str | Sequence[Any],
    env: Sequence[str],
    headers: Mapping[str, str] | None,
    transport: Transport,
) -> Endpoint:
    """Return the place of a server, checked.

    Raises:
        ConfigurationError: If it is neither an address nor a command, or would get a provider's key.
    """
    if transport not in {"http", "sse"}:
        raise ConfigurationError(f"transport must be 'http' or 'sse', got {transport!r:.40}.")
    if isinstance(server, str):
        if env:
            raise ConfigurationError(
                "An address has no environment.", hint="Leave out env; a key goes into headers."
            )
        return _remote(server, headers or {}, transport)
    if headers:
        raise ConfigurationError("A command has no headers.", hint="Name variables in env instead.")
    return _local(tuple(server), env)


def _remote(url: str, headers: Mapping[str, str], transport: Transport) -> Endpoint:
    _check_address(url, secret=bool(headers))
    sent = {name: Secret(_filled(value), f"the header {name}") for name, value in headers.items()}
    return Endpoint(url=url, headers=sent, transport=transport)


def _local(command: tuple[Any, ...], env: Sequence[str]) -> Endpoint:
    if not command or not all(isinstance(word, str) and word for word in command):
        raise ConfigurationError(
            "An MCP server is an address or a list of words.",
            hint='Examples: "http://127.0.0.1:8000/mcp", ["uvx", "mcp-server-git"].',
        )
    for name in env:
        _check_variable(name)
    return Endpoint(command=command, env=tuple(env))


def variable(name: str) -> str:
    """Return a variable's value for a server.

    Raises:
        ConfigurationError: If it is not set, or is a key of a model provider.
    """
    _check_variable(name)
    value = os.environ.get(name)
    if value is None:
        raise ConfigurationError(
            f"The environment variable {name} is not set.", hint="Set it, or leave it out."
        )
    return value


def _check_variable(name: str) -> None:
    """Refuse the keys of model providers, under their own name and under another."""
    keys = {key for provider in catalog.providers().values() for key in provider.key_env}
    values = {value for key in keys if (value := os.environ.get(key, "").strip())}
    if name in keys or os.environ.get(name, "").strip() in values:
        raise ConfigurationError(
            f"{name} is the key of a model provider, which no MCP server gets.", hint="Leave it out."
        )


def _filled(value: str) -> str:
    """Put variables into a header: `"Bearer ${DOCS_TOKEN}"`."""
    return _REFERENCE.sub(lambda found: variable(found[1]), value)


def _check_address(url: str, *, secret: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(
            f"{redact(url)[:80]!r} is not the address of an MCP server.",
            hint='Use http://… or https://…, or a list for a command: ["uvx", "mcp-server-git"].',
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "An MCP server's address has no user and password.", hint='Use headers={"Authorization": …}.'
        )
    if secret and parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError("Headers would be sent unencrypted.", hint="Use https://…")
