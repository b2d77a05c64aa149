"""What a call asks, as far as it matters for the answer, and the key under which that is recorded."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmkit.core.errors import InvalidRequestError
from llmkit.providers.attachment_limits import without_media
from llmkit.providers.codec import ContractTemperature

if TYPE_CHECKING:
    from llmkit.clients.engine.call import Call
    from llmkit.content.messages import LLMMessage
    from llmkit.providers.codec import Codec, Request

FORMAT = 2
"""Version of the key: 1 was made of what went over the wire, 2 is made of what was asked."""

MARK = "q"
"""What a key of version 2 begins with; it sorts behind all of version 1, which are hexadecimal digits."""

SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalRequest:
    """What a call asks, as far as it matters for the answer.

    Attributes:
        provider: Name of the provider.
        place: Which server is asked.
        request: The request in our words, as JSON values.
        former: Makes the request as version 1 of the key has it.
    """

    provider: str
    place: str
    request: Mapping[str, Any]
    former: Callable[[], Mapping[str, Any]]

    def key(self) -> str:
        """Return the key under which the answer is recorded."""
        return MARK + request_key(self.provider, self.place, self.request)

    def former_key(self) -> str | None:
        """Return the key under which an earlier llmkit recorded the answer; `None` if it could not."""
        try:
            return request_key(self.provider, self.place, self.former(), version=1)
        except InvalidRequestError:
            return None


def canonical_request(codec: Codec, address: str, call: Call) -> CanonicalRequest:
    """Return what a call asks of a provider.

    It is taken from the request before it is encoded: neither streaming, nor the wire format, nor a parameter
    that is not sent makes it another request. Digests stand for files; an
    address stands for itself.
    """
    return CanonicalRequest(
        provider=call.provider,
        place=place(address, simulated=call.simulated),
        request=_asked(call.request),
        former=lambda: _on_wire(codec, call.request),
    )


def canonical_client_request(call: Call) -> CanonicalRequest:
    """Return what a call asks of a client that has no wire format of ours."""
    asked = _asked(call.request)
    return CanonicalRequest(provider=call.provider, place="", request=asked, former=lambda: asked)


def _asked(request: Request) -> dict[str, Any]:
    chosen = not isinstance(request.temperature, ContractTemperature)
    return {
        "messages": list(map(_message, request.messages)),
        "model": request.model,
        "temperature": request.temperature if chosen else None,
        "max_tokens": request.max_tokens,
        "extra": request.extra,
        **({} if request.schema is None else {"schema": request.schema.json}),
    }


def _on_wire(codec: Codec, request: Request) -> dict[str, Any]:
    """Return what version 1 of the key was made of: the body, to the letter as it was sent then."""
    temperature = request.temperature
    if codec.former_temperature and temperature is not None:
        temperature = float(temperature)  # one that nobody chose was sent as well
    wire = codec.encode(replace(request, stream=False, without=frozenset(), temperature=temperature))
    return {"path": wire.path, "body": without_media(wire.body, request.messages)}


def _message(message: LLMMessage) -> list[Any]:
    digests = [[one.media_type, one.name, one.url or f"sha256:{one.digest}"] for one in message.attachments]
    return [message.role, message.content, *([digests] if digests else [])]


def place(address: str, *, simulated: bool) -> str:
    """Return which server is asked, as far as it matters for the answer.

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
    except ValueError:  # it is no address; the call itself will say so
        return address
    shown = "" if port is None or _is_loopback(host) else f":{port}"
    return f"{host}{shown}{parts.path.rstrip('/')}"


def request_key(provider: str, place: str, payload: Any, version: int = FORMAT) -> str:
    """Return the key of a request: SHA-256 over its canonical JSON.

    The order of an object's names does not matter, and 1.0 is 1.

    Example:
        >>> request_key("a", "b", {"x": 1, "y": 2.0}) == request_key("a", "b", {"y": 2, "x": 1})
        True

    Source: RFC 8785 for what is the same JSON.
    """
    try:
        document = canonical([version, provider, place, payload])
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The request has no canonical JSON: {error}.") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def canonical(value: Any) -> Any:
    """Return JSON values in which the same number is written the same way."""
    if isinstance(value, float):
        whole = math.isfinite(value) and value.is_integer()
        return int(value) if whole else float(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {_name(name): canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the name {value!r} is no text")
    return value
