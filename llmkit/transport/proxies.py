"""Proxies from environment variables.

aiohttp supports neither `ALL_PROXY` nor ranges in `NO_PROXY`, looks up proxies in a thread for every
request, and might send passwords from `.netrc`. This module follows the common rules of curl and Go.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies

from llmkit.core import environment
from llmkit.core.addresses import QUOTES, is_loopback
from llmkit.core.errors import ConfigurationError, ProviderNotAvailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

SOCKS = {"socks4": "socks4", "socks4a": "socks4", "socks5": "socks5", "socks5h": "socks5", "socks": "socks5"}
"""The kind of SOCKS proxy by scheme; the proxy resolves host names in all cases."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_PAIRS = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_VARIABLES = tuple(name for pair in _PAIRS for name in (pair, pair.upper()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy; the repr does not show its password.

    Attributes:
        url: Its URL, without credentials.
        variable: The variable that sets it.
        name: User name; empty if there is none.
        password: The password.
    """

    url: str
    variable: str
    name: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def socks(self) -> str | None:
        """The SOCKS version, if it is a SOCKS proxy."""
        return SOCKS.get(self.url.partition(":")[0])

    def login(self) -> dict[str, str]:
        """Return the authentication header, if there is a user name."""
        if not self.name:
            return {}
        pair = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        return {"proxy-authorization": f"Basic {pair}"}

    def whole_url(self) -> str:
        """Return its URL with credentials; only for libraries without separate arguments."""
        login = f"{quote(self.name, safe='')}:{quote(self.password, safe='')}@" if self.name else ""
        # Only with socks5h does requests leave host names to the proxy.
        url = self.url.replace("socks5://", "socks5h://").replace("socks://", "socks5h://")
        return url.replace("://", f"://{login}", 1)

    def __str__(self) -> str:
        return f"the proxy {self.url} ({self.variable})"


def proxy_for(address: str) -> Proxy | None:
    """Return the proxy for a URL in the current environment."""
    # No proxy can reach this machine's own servers, such as Ollama or the sandbox.
    if _is_here(address):
        return None
    return _proxy_for(address, environment.stamp())


@lru_cache(maxsize=64)
def _is_here(address: str) -> bool:
    return is_loopback(urlsplit(address).hostname)


def _given() -> dict[str, str | None]:
    given = {name: os.environ.get(name) for name in _VARIABLES}
    if "REQUEST_METHOD" in os.environ:  # in CGI, HTTP_PROXY is a header that any client can send
        given["HTTP_PROXY"] = None
    return given


@lru_cache(maxsize=64)
def _proxy_for(address: str, _stamp: object) -> Proxy | None:
    parts = urlsplit(address)
    given = _given()
    if _goes_straight(parts, given["no_proxy"] or given["NO_PROXY"] or ""):
        return None
    # Lower case first, as in curl and the standard library.
    for variable in (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        if text := (given[variable] or "").strip(QUOTES):
            return _read(text, variable)
    text = "" if any(given.values()) else getproxies().get(parts.scheme, "")  # from macOS or Windows
    return _read(text, "the system's settings") if text else None


def proxy_refused(status: int, proxy: Proxy) -> ProviderNotAvailableError:
    """Return the error for a proxy that rejects a request, without its password."""
    if status != 407:
        return ProviderNotAvailableError(
            f"{_capital(proxy)} rejected the request (HTTP {status}).",
            status_code=status,
            retryable=status >= 500,
            hint=f"Ask its administrator, or exclude the address in no_proxy. {proxy.variable} sets it.",
        )
    asked = "rejects this name and password" if proxy.name else "requires a name and a password"
    return ProviderNotAvailableError(
        f"{_capital(proxy)} {asked} (HTTP 407).",
        status_code=status,
        retryable=False,
        hint=f"Set them in {proxy.variable}: {proxy.url.replace('://', '://NAME:PASSWORD@')}.",
    )


def proxy_failed(error: Exception, proxy: Proxy) -> ProviderNotAvailableError:
    """Return the error for a proxy that is unreachable or fails."""
    last: BaseException = error
    # The first exception has the operating system's reason.
    while (earlier := last.__cause__ or last.__context__) is not None:
        last = earlier
    reason = getattr(last, "strerror", None) or str(last) or type(last).__name__
    return ProviderNotAvailableError(
        f"Cannot connect through {proxy}: {reason}.",
        hint=f"Start the proxy, correct or unset {proxy.variable}, or exclude the address in no_proxy.",
    )


def socks_connector(proxy: Proxy) -> Callable[..., aiohttp.TCPConnector]:
    """Return the factory of aiohttp's connector for a SOCKS proxy."""
    try:
        from aiohttp_socks import ProxyConnector, ProxyType
    except ImportError as error:
        raise ConfigurationError(
            f"{proxy.variable} names a SOCKS proxy, which needs another package.",
            hint='pip install "jupyter-llmkit[socks]", or exclude the address in no_proxy.',
        ) from error
    parts = urlsplit(proxy.url)
    return partial(
        ProxyConnector,
        host=parts.hostname or "",
        port=parts.port or 1080,
        proxy_type=ProxyType[(proxy.socks or "socks5").upper()],
        username=proxy.name or None,
        password=proxy.password or None,
        # Internal names may be known only behind the proxy.
        rdns=True,
    )


def socks_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the SOCKS package, if it is in use."""
    package = sys.modules.get("aiohttp_socks")
    if package is None:
        return ()
    return (package.ProxyError, package.ProxyConnectionError, package.ProxyTimeoutError)


def _read(text: str, variable: str) -> Proxy:
    """Parse a proxy's URL; without a scheme it is an HTTP proxy."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    scheme = parts.scheme.lower()
    if scheme not in {"http", "https", *SOCKS} or not parts.hostname:
        raise ConfigurationError(
            f"{variable} is not a valid proxy address.",
            hint=f"Use the form http://host:port or socks5://host:port, or unset {variable}.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(
        url=f"{scheme}://{host}:{port or _DEFAULT_PORTS.get(scheme, 1080)}",
        variable=variable,
        name=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _goes_straight(parts: SplitResult, exceptions: str) -> bool:
    """Whether `NO_PROXY` excludes a host, by name, suffix, pattern, address or range, maybe with a port."""
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    return any(_fits(one, host, port) for one in exceptions.replace(",", " ").lower().split())


def _fits(one: str, host: str, port: int | None) -> bool:
    one, only = _split_port(one.rpartition("://")[2].strip(QUOTES))
    if only not in (None, port):
        return False
    try:
        # aiohttp itself does not understand ranges such as 10.0.0.0/8.
        return ipaddress.ip_address(host) in ipaddress.ip_network(one, strict=False)
    except ValueError:
        pass
    if "*" in one:
        return fnmatchcase(host, one)
    suffix = one.strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _split_port(one: str) -> tuple[str, int | None]:
    """Split off the port of an entry in `NO_PROXY`, if it has one."""
    name, colon, number = one.rpartition(":")
    # A plain IPv6 address also ends in a colon and digits.
    if colon and number.isdigit() and (":" not in name or name.endswith("]")):
        return name.strip("[]"), int(number)
    return one.strip("[]"), None


def _capital(proxy: Proxy) -> str:
    return f"T{str(proxy)[1:]}"
