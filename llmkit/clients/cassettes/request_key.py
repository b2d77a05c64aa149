"""The canonical request of a call and the key of its recording."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmkit.content.parts import Citation, Media, Reasoning, Text, ToolResult, values_of
from llmkit.content.tools import Tool, signature
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.attachment_limits import without_media
from llmkit.providers.choices import is_chosen
from llmkit.providers.codec import ContractTemperature

if TYPE_CHECKING:
    from llmkit.clients.engine.call import Call
    from llmkit.content.messages import LLMMessage
    from llmkit.content.parts import Part
    from llmkit.providers.codec import Codec, Request

FORMAT = 2
"""Version of the key: 1 used the wire request, 2 uses the canonical request."""

MARK = "q"
"""Prefix of version 2 keys; sorts after all version 1 keys, which are hexadecimal digits."""

SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalRequest:
    """The parts of a call that affect the answer.

    Attributes:
        provider: Name of the provider.
        place: The server.
        request: The request in llmkit's terms, as JSON values.
        former: Creates the request in the form of version 1 keys.
    """

    provider: str
    place: str
    request: Mapping[str, Any]
    former: Callable[[], Mapping[str, Any]]

    def key(self) -> str:
        """Return the key of the recording."""
        return MARK + request_key(self.provider, self.place, self.request)

    def former_key(self) -> str | None:
        """Return the version 1 key; `None` if the request has none."""
        try:
            return request_key(self.provider, self.place, self.former(), version=1)
        except InvalidRequestError:
            return None


def canonical_request(codec: Codec, address: str, call: Call) -> CanonicalRequest:
    """Return the canonical request of a call.

    It is built before encoding, so streaming, the wire format and parameters that are not sent
    do not change it. A file is represented by its digest, a URL by itself.
    """
    return CanonicalRequest(
        provider=call.provider,
        place=place(address, simulated=call.simulated),
        request=_asked(call.request),
        former=lambda: _on_wire(codec, call.request),
    )


def canonical_client_request(call: Call) -> CanonicalRequest:
    """Return the canonical request of a client that has no codec."""
    asked = _asked(call.request)
    return CanonicalRequest(provider=call.provider, place="", request=asked, former=lambda: asked)


def _asked(request: Request) -> dict[str, Any]:
    # A default that nobody chose is not part of the request.
    chosen = not isinstance(request.temperature, ContractTemperature)
    return {
        "messages": list(map(canonical_message, request.messages)),
        "model": request.model,
        "temperature": request.temperature if chosen else None,
        "max_tokens": request.max_tokens,
        "extra": _extra(request),
        # Left out if there is none, so that older recordings keep their keys.
        **({} if request.schema is None else {"schema": request.schema.json}),
        **tools_of(request),
        **{name: word for name in ("effort", "tier", "cache") if is_chosen(word := getattr(request, name))},
    }


def _extra(request: Request) -> Mapping[str, Any]:
    """Return the provider's parameters, among them the choice among its own tools."""
    if request.tools or request.tool_choice is None:
        return request.extra
    return {**request.extra, "tool_choice": request.tool_choice}


def tools_of(request: Request) -> dict[str, Any]:
    """Return the tools of a request, if it has any; what they do is not part of it."""
    if not request.tools:
        return {}
    tools = [signature(one) if isinstance(one, Tool) else dict(one) for one in request.tools]
    return {"tools": tools, "tool_choice": request.tool_choice}


def _on_wire(codec: Codec, request: Request) -> dict[str, Any]:
    """Return the input of version 1 keys: the exact body that was sent then."""
    temperature = request.temperature
    if codec.former_temperature and temperature is not None:
        temperature = float(temperature)  # version 1 also sent the default temperature
    wire = codec.encode(replace(request, stream=False, without=frozenset(), temperature=temperature))
    return {"path": wire.path, "body": without_media(wire.body, request.messages)}


def canonical_message(message: LLMMessage) -> list[Any]:
    """Return a message as JSON values, with files as digests."""
    if not (message.attachments or message.parts):
        return [message.role, message.content]
    digests = [[one.media_type, one.name, one.url or f"sha256:{one.digest}"] for one in message.attachments]
    parts = [value for part in message.parts if (value := _part(part)) is not None]
    # Left out if empty, so that older recordings keep their keys.
    more = [digests, parts] if parts else [digests] if digests else []
    return [message.role, message.content, *more]


def _part(part: Part) -> dict[str, Any] | None:
    """Return what a part asks, without what only its provider understands; `content` has the texts."""
    if isinstance(part, Text | Reasoning | Citation):
        return None
    values = values_of(part)
    if isinstance(part, Media):
        values["attachment"] = part.attachment.digest
    if isinstance(part, ToolResult) and part.attachments:
        values["attachments"] = [one.digest for one in part.attachments]
    return {name: value for name, value in values.items() if name not in {"opaque", "provider"}}


def place(address: str, *, simulated: bool) -> str:
    """Return the server, as far as it affects the answer.

    Example:
        >>> place("https://api.openai.com/v1/", simulated=False)
        'api.openai.com/v1'
        >>> place("http://127.0.0.1:40123/v1", simulated=False)
        '127.0.0.1/v1'
    """
    if simulated:
        return SANDBOX
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # not a URL; the call itself reports it
        return address
    # A local server may have another port after each start.
    shown = "" if port is None or _is_loopback(host) else f":{port}"
    return f"{host}{shown}{parts.path.rstrip('/')}"


def request_key(provider: str, place: str, payload: Any, version: int = FORMAT) -> str:
    """Return the key of a request: SHA-256 over its canonical JSON.

    The order of an object's keys does not matter, and 1.0 equals 1.

    Example:
        >>> request_key("a", "b", {"x": 1, "y": 2.0}) == request_key("a", "b", {"y": 2, "x": 1})
        True

    Source: RFC 8785 (canonical JSON).
    """
    try:
        document = canonical([version, provider, place, payload])
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"Cannot encode the request as JSON: {error}.") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def canonical(value: Any) -> Any:
    """Return JSON values in which equal numbers have the same form."""
    if isinstance(value, float):
        whole = math.isfinite(value) and value.is_integer()
        return int(value) if whole else float(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {_name(name): canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the key {value!r} is not a string")
    return value
