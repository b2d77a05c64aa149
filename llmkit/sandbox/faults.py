"""Faults on demand: a short specification says how an answer fails.

A specification is a list of items with `;` between them. It comes in the HTTP header
`x-llmkit-fault`, behind a `!` in the model's name (`sandbox!stall=3`), from
`SandboxServer.fail_next` or from the server's option `fault`; if two set the same item, the header overrides
the model's name, which overrides `fail_next`, which overrides the option.

| Item | What happens |
|---|---|
| `status=429` or `429` | the answer is this HTTP error, in the provider's own format |
| `retry-after=2` | … with this header (seconds, or any text such as a date) |
| `code=insufficient_quota` | … with the provider's word: code (OpenAI), type (Anthropic), status (Google) |
| `message=Text` | … with this message |
| `refuse=temperature` | a 400 naming this parameter, if the request has it |
| `html` | a page of HTML, as from a proxy (200 unless `status` is given) |
| `empty` | 200 without any body |
| `stall=N` | silence after N pieces of text; the socket stays open |
| `cut=N` | the connection is closed after N pieces |
| `reset=N` | the connection is reset (RST) after N pieces |
| `end=N` | a clean end of the response after N pieces, without the terminal marker |
| `malformed=N` | after N pieces one frame of broken JSON, then the rest |
| `error=N` | after N pieces the provider's in-band error, then the end |
| `ping=S` | after `after=N` pieces (default 3) only keep-alive frames, one every S seconds |
| `slow=S` | S seconds before the response starts |
| `delay=S` | S seconds between the start of the response and its first text |
| `rate=N` | N tokens per second; 0 is all at once |
| `tokens=N` | the answer is N tokens long |
| `finish=WORD` | this finish reason, verbatim |
| `cached=N`, `cache-write=N`, `reasoning=N` | these token counts in the usage |
| `no-usage` | no usage at all |
| `proxy-cost=USD` | the header in which LiteLLM's proxy states a price (any text) |

A piece is one streamed token. An answer shorter than N pieces fails just before its terminal
marker. Without streaming, half of the body counts as the first piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

BreakKind = Literal["stall", "cut", "reset", "end", "malformed", "error", "ping"]
"""The ways an answer can break after some of its text."""

_PIECES_BEFORE_PINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One parsed specification; by default, an answer without a fault."""

    status: int | None = None
    retry_after: str | None = None
    code: str | None = None  # the provider's word for the error
    message: str | None = None
    refuse: str | None = None  # name of a parameter that the model does not take
    breaks: BreakKind | None = None
    after: int = _PIECES_BEFORE_PINGS  # pieces of text before it breaks
    every: float = 0.05  # seconds between two keep-alive frames of `ping`
    html: bool = False
    empty: bool = False
    usage: bool = True
    slow: float = 0.0  # seconds before the response starts
    delay: float | None = None  # seconds between the start of the response and the first text
    rate: float | None = None  # tokens per second; 0 means all at once
    tokens: int | None = None  # length of the answer
    finish: str | None = None
    cached: int = 0  # input tokens read from a cache
    cache_write: int = 0  # input tokens written to a cache
    reasoning: int = 0  # output tokens that are not shown
    proxy_cost: str | None = None  # the price that a proxy states


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("a count is not negative")
    return number


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError("a duration or a rate is not negative")
    return number


def _status(text: str) -> int:
    number = int(text)
    if not 200 <= number <= 599:
        raise ValueError("a status is between 200 and 599")
    return number


_FLAGS: dict[str, tuple[str, bool]] = {
    "html": ("html", True),
    "empty": ("empty", True),
    "no-usage": ("usage", False),
}

_VALUES: dict[str, Callable[[str], Any]] = {
    "status": _status,
    "retry-after": str,
    "code": str,
    "message": str,
    "refuse": str,
    "after": _count,
    "slow": _amount,
    "delay": _amount,
    "rate": _amount,
    "tokens": _count,
    "finish": str,
    "cached": _count,
    "cache-write": _count,
    "reasoning": _count,
    "proxy-cost": str,
}

_BREAKS = get_args(BreakKind)


def _read_item(name: str, value: str) -> dict[str, Any]:
    if name.isdigit():
        return {"status": _status(name)}
    if not value:
        return _read_flag(name)
    if name in _VALUES:
        return {name.replace("-", "_"): _VALUES[name](value)}
    if name == "ping":
        return {"breaks": name, "every": _amount(value)}
    if name in _BREAKS:
        return {"breaks": name, "after": _count(value)}
    raise _unknown()


def _read_flag(name: str) -> dict[str, Any]:
    if name not in _FLAGS:
        raise _unknown()
    field, wanted = _FLAGS[name]
    return {field: wanted}


def _unknown() -> ValueError:
    known = ", ".join([*(f"{known}=…" for known in (*_VALUES, *_BREAKS)), *_FLAGS])
    return ValueError(f"known are {known}")


def parse(spec: str) -> Fault:
    """Read a specification.

    Example:
        >>> fault = parse("429;retry-after=2")
        >>> fault.status, fault.retry_after
        (429, '2')
    """
    fields: dict[str, Any] = {}
    for item in filter(None, map(str.strip, spec.split(";"))):
        name, _, value = item.partition("=")
        try:
            fields |= _read_item(name.strip().lower(), value.strip())
        except ValueError as error:
            raise ValueError(f"The sandbox does not know the fault {item!r}: {error}.") from None
    return Fault(**fields)


def split_model(name: str) -> tuple[str, str]:
    """Split a model's name into the name and the fault.

    Example:
        >>> split_model("sandbox!stall=3")
        ('sandbox', 'stall=3')
    """
    bare, _, spec = name.partition("!")
    return bare, spec
