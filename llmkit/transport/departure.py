"""Whether a request that failed had left: a provider may charge for one that has, also without an answer."""

from __future__ import annotations

import re
from traceback import walk_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_CONNECTING = re.compile(
    "Connector|FingerprintMismatch|Proxy|^Connect(Error|Timeout)$|Connect(ion)?TimeoutError$"
    "|NewConnection|NameResolution|CertVerification|PoolTimeout|UnsupportedProtocol|LocalProtocol"
)
"""Names of the HTTP libraries' exceptions for a connection that was not made, and for an invalid request."""

_FUNCTIONS = {"_connect", "wait_for_connection"}
"""httpcore's functions that make a connection, or wait for one."""


def never_left(error: BaseException) -> bool:
    """Return whether a request failed, or was cancelled, before it had a connection; a doubt says no.

    Example:
        >>> never_left(ConnectionResetError())
        False
    """
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:
        found.append(each)
        each = each.__cause__ or each.__context__
    # httpx on aiohttp translates a connection that was lost into one that was not made.
    of_aiohttp = [each for each in found if type(each).__module__.startswith("aiohttp")]
    return any(map(_while_connecting, of_aiohttp or found))


def _while_connecting(error: BaseException) -> bool:
    kind = type(error)
    if kind.__module__ != "builtins" and _CONNECTING.search(kind.__name__):
        return True
    return any(_connects(frame) for frame, _ in walk_tb(error.__traceback__))


def _connects(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__"))
    if module.startswith("httpcore"):
        return frame.f_code.co_name in _FUNCTIONS
    return module == "aiohttp.connector"
