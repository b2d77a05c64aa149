"""Hints for local servers that do not answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmkit.core import catalog
from llmkit.core.errors import LLMClientError, ProviderNotAvailableError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - an address to call, not to listen on
"""Names of the local machine."""


def explain_down(error: LLMClientError, provider: str, address: str) -> None:
    """Say how to start a local server that did not answer."""
    # Not a subclass: a server that does not run causes neither timeouts nor broken answers.
    down = type(error) is ProviderNotAvailableError and error.status_code is None and error.retryable
    if not (down and error.message.startswith("No answer from")):
        return
    if start := _start_of(provider, address):
        error.hint = f"If it is not running, start it with: {start}"


def _start_of(provider: str, address: str) -> str | None:
    """Return the command that starts a server, found by the provider's name or by the local port."""
    known = catalog.providers()
    if provider in known and known[provider].start:
        return known[provider].start
    parts = urlsplit(address)
    if parts.hostname not in LOOPBACK:
        return None
    ports = {urlsplit(one.base_url or "").port: one.start for one in known.values() if one.start}
    return ports.get(parts.port)
