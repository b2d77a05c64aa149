"""Addresses of APIs as people write them: normalized where they have one meaning, else refused."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from llmkit.core.errors import ConfigurationError

QUOTES = "\"'`<>\u201c\u201d\u2018\u2019\xab\xbb \t\r\n"
"""Characters that are often copied along with an address."""

ENDPOINTS = {
    "openai": re.compile(r"/(?:chat/completions|completions|responses|embeddings|models)$"),
    "anthropic": re.compile(r"(?:/v1)*/(?:messages|models|complete)$|(?:/v1)+$"),
    "google": re.compile(r"(?:/v1(?:beta\d*|alpha)?)+(?:/(?:models|tunedModels)(?:/[^/]+)?)?$"),
}
"""Path endings that each protocol's requests add themselves."""

_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the base URLs of one provider are written.

    Attributes:
        protocol: The wire format; it determines what requests append.
        home: The default base URL.
        local: Whether it runs on the user's machine; `home` then supplies the default port and path.
        path: The path of an address without one.
        native: Paths of the server's other APIs, which are replaced by this one's.
    """

    protocol: str = "openai"
    home: str = ""
    local: bool = False
    path: str = ""
    native: tuple[str, ...] = ()

    @property
    def port(self) -> int | None:
        """Default port of an address without a port and a scheme."""
        return urlsplit(self.home).port if self.local else None

    def root(self, netloc: str) -> str:
        """Return the default path for this host, if known."""
        home = urlsplit(self.home)
        # A path that fits the provider's own host says nothing about another host.
        return home.path if self.local or netloc == home.netloc else self.path


@lru_cache(maxsize=128)
def normalize(text: str, source: str, manner: Manner) -> str:
    """Return the normalised base URL.

    Example:
        >>> normalize('"api.example.com/v1/chat/completions/"', "base_url", Manner())
        'https://api.example.com/v1'
        >>> normalize("0.0.0.0", "OLLAMA_HOST", Manner(home="http://127.0.0.1:11434/v1", local=True))
        'http://127.0.0.1:11434/v1'
    """
    parts = _split(_with_scheme(text.strip(QUOTES), source, manner), source)
    path = _normalized_path(parts, manner)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{path}{query}"


def take_apart(address: str) -> tuple[str, str]:
    """Split off the query of an address.

    Example:
        >>> take_apart("https://host/deployments/mini?api-version=1")
        ('https://host/deployments/mini', 'api-version=1')
    """
    base, _, query = address.partition("?")
    return base, query


def place_of(address: str, path: str) -> str:
    """Return the URL of a request: the path is inserted before the query.

    Example:
        >>> place_of("https://host/mini?api-version=1", "/chat/completions")
        'https://host/mini/chat/completions?api-version=1'
    """
    base, query = take_apart(address)
    if not query:
        return base + path
    return f"{base}{path}{'&' if '?' in path else '?'}{query}"


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("example.com")
        (True, True, False)
    """
    name = (host or "").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def covers(trusted: str, address: str) -> bool:
    """Whether an address is the trusted one or below it.

    Example:
        >>> covers("https://host/team", "https://host/team/v1"), covers("https://host/a", "https://host/ab")
        (True, False)
    """
    one, other = urlsplit(trusted), urlsplit(address)
    # A path with dots could lead out of the trusted one.
    if (one.scheme, one.netloc) != (other.scheme, other.netloc) or _DOTS.search(other.path):
        return False
    path = one.path.rstrip("/")
    return other.path == path or other.path.startswith(f"{path}/")


def _with_scheme(text: str, source: str, manner: Manner) -> str:
    """Return the address with a scheme; a missing one is derived from the host."""
    if not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"{source} is not a valid URL.", hint="Remove the spaces and control characters."
        )
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in {"http", "https"}:
        return f"{scheme.lower()}://{_host(rest.removeprefix('/').removeprefix('/'))}"
    if "://" in text:
        raise ConfigurationError(
            f"{source} is not a web address: it begins with {scheme[:20]}://.",
            hint="Use http:// or https://.",
        )
    rest = _host(text.lstrip("/"), manner.port)
    host = rest.partition("/")[0]
    if manner.port is None and not _is_host(host):
        raise ConfigurationError(  # not shown: it may be a key in the wrong variable
            f"{source} is not a web address: it names no host.", hint="Use the form https://host/v1."
        )
    return f"{'http' if _near(host) else 'https'}://{rest}"


def _is_host(text: str) -> bool:
    return bool(re.search(r"[.:\[]", text)) or text.lower() == "localhost"


def _host(rest: str, port: int | None = None) -> str:
    """Return the part after the scheme, with the host and the port completed."""
    host, slash, path = rest.partition("/")
    host, mark, query = host.partition("?")
    # An IPv6 address without brackets.
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    name, number = re.fullmatch(r"(.*?)(:\d*)?", host, re.DOTALL).groups()  # type: ignore[union-attr]
    # A server listens on 0.0.0.0; clients need an address to connect to.
    if name in {"0.0.0.0", "[::]"} or (not name and number):  # noqa: S104 - compared, not bound
        name = "[::1]" if name == "[::]" else "127.0.0.1"
    number = number if number and number != ":" else (f":{port}" if port else "")
    return f"{name}{number}{mark}{query}{slash}{path}"


def _near(host: str) -> bool:
    """Whether a host is on this machine or in the local network, where TLS is rare."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return is_loopback(name) or "." not in name or name.endswith((".local", ".lan", ".internal"))


def _split(text: str, source: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        found = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        found = None
    if not found or "\\" in text:
        raise ConfigurationError(
            f"{source} is not a web address: its host or port cannot be read.",
            hint="Use the form https://host/v1.",
        )
    # Addresses are shown in messages and stored, so they must not hold a password.
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"{source}: the URL must not contain a user name or a password.", hint="Pass the key as api_key."
        )
    if _DOTS.search(parts.path):
        raise ConfigurationError(f"{source} is not a web address: its path has dots in place of a name.")
    return parts._replace(netloc=parts.netloc.lower())


def _normalized_path(parts: SplitResult, manner: Manner) -> str:
    """Return a path without the parts that requests append, and without doubled parts."""
    path = re.sub("/{2,}", "/", parts.path.rstrip("/"))
    if manner.protocol in ENDPOINTS:
        path = ENDPOINTS[manner.protocol].sub("", path).rstrip("/")
    # Users often add the /v1 that the address already has.
    path = re.sub(r"(?:/v1){2,}$", "/v1", path)
    return manner.root(parts.netloc) if not path or path in manner.native else path
