"""One POST of JSON with the standard library: nothing logs the address, and no redirect is followed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from llmkit.core.addresses import is_loopback

TIMEOUT = 5.0
"""Seconds to wait for a connection, and for the answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect alone: an alert must not go where its sender has not looked."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request."""


def post(url: str, body: bytes) -> tuple[int, str | None]:
    """Post once.

    Returns:
        The status, 0 without an answer; and what went wrong, without the address.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "llmkit"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - checked: http(s) alone
    try:
        with _opener(url).open(request, timeout=TIMEOUT) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, f"it answered HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        # Without its text, which may quote the address.
        return 0, f"no answer ({type(getattr(error, 'reason', error)).__name__})"


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[Any] = [_NoRedirect()]
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    if parts.scheme == "https":
        from llmkit.transport import certificates

        context = certificates.context(certificates.named())
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)
