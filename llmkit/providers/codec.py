"""What a provider is to llmkit: pure functions between our words and its wire format."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import orjson

from llmkit.core.errors import (
    BadResponseError,
    InvalidRequestError,
    LLMClientError,
)
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.messages import LLMMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.content.messages import LLMMessage, Usage
    from llmkit.content.schema import Schema
    from llmkit.core.errors import LLMClientError
    from llmkit.transport.base import WireRequest


DONE = b"[DONE]"
"""OpenAI's last event."""

FORMATS = frozenset(
    {"response_format", "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"}
)
"""The providers' words for a schema."""

SCHEMA_NAMES = frozenset({"response_format", "output_config", "responseJsonSchema", "responseMimeType"})
"""Parameters by which we send a schema; where one is refused, the prompt asks for it."""

_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]+)", re.IGNORECASE)

MOST_TOKENS = 10**12
"""What is beyond is no number of tokens, and would not fit into the books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call in our words.

    Attributes:
        messages: The conversation.
        model: The provider's name of the model.
        temperature: Randomness; `None` leaves it to the provider.
        max_tokens: Limit of the answer; `None` leaves it to the provider.
        stream: Whether the answer is to arrive as it is written.
        extra: Parameters in the provider's own words.
        without: Parameters that this server is known to refuse for this model.
        schema: What the answer must look like if it is to be JSON.
    """

    messages: tuple[LLMMessage, ...]
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    stream: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    schema: Schema | None = None

    def __post_init__(self) -> None:
        """Refuse what JSON has no word for, and what is said twice.

        Raises:
            InvalidRequestError: If a parameter is NaN or infinite: it would go out as `null`. If there is a
                schema, and a parameter that asks for one, too.
        """
        both = FORMATS & self.extra.keys() if self.schema is not None else ()
        for name in both:
            raise InvalidRequestError(f"schema and {name} are both given.", hint="Leave one of them out.")
        parameters = {"temperature": self.temperature, **self.extra}
        for name in [name for name, value in parameters.items() if not _finite(value)]:
            raise InvalidRequestError(f"{name} holds NaN or an infinite number, which JSON cannot say.")

    @property
    def dropped(self) -> frozenset[str]:
        """Parameters to leave out. A schema's are not among them: the user may have one of the same name."""
        return self.without - SCHEMA_NAMES

    def less(self, names: frozenset[str]) -> Request:
        """Return the request without some more parameters.

        Args:
            names: Their names on the wire.
        """
        return replace(self, without=self.without | names)


@dataclass(slots=True)
class Answer:
    """What is known of an answer so far; `decode` fills it in.

    Attributes:
        finish_reason: Why it ended.
        model: Model that answers, in the provider's words.
        request_id: The provider's identifier, from the body.
        ended: Whether the provider's terminal marker was seen.
        closed: Whether nothing can follow: the protocol's very last event was seen.
        thinking: Whether the last event brought reasoning, which is progress without text.
        tier: The provider's service tier.
        cost_usd: Price as the provider itself reports it, in US dollars.
        cost_source: Who reports it: `"provider"`, or a `"proxy"` before it.
        report: What it used so far, in the provider's words.
        read: Reads such a report.
        counted: The tokens as they were read.
        parts: What is not text, in the server's own form; `parts.gathered` returns them whole.
        growing: The parts that further events may continue, by what tells them apart.
        calls: Whether a tool is to be called.
        broken: The error with which it ends, by the server's own account.
        last: The last text of a protocol whose answers come in blocks.
        apart: Whether something else came behind that text, so that the next one begins a paragraph.
    """

    finish_reason: str | None = None
    model: str | None = None
    request_id: str | None = None
    ended: bool = False
    closed: bool = False
    thinking: bool = False
    tier: str | None = None
    cost_usd: float | None = None
    cost_source: str = "provider"
    report: dict[str, Any] | None = None
    read: Callable[[dict[str, Any]], Usage] | None = field(default=None, compare=False)
    counted: Usage | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)
    growing: dict[object, dict[str, Any]] = field(default_factory=dict)
    calls: bool = False
    broken: LLMClientError | None = None
    last: str = ""
    apart: bool = False

    @property
    def usage(self) -> Usage | None:
        """Tokens as reported so far, read when somebody asks: many servers report with every event."""
        if self.counted is None and self.report is not None and self.read is not None:
            self.counted = self.read(self.report)
        return self.counted

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self.counted, self.report = usage, None

    def paragraph(self, written: str) -> str:
        """Return the next text, with the blank line that keeps it apart from one before a tool's work."""
        if not written:
            return ""
        before, self.last = self.last, written
        if not (self.apart and before):
            return written
        self.apart = False
        there = len(before) - len(before.rstrip("\n")) + len(written) - len(written.lstrip("\n"))
        return "\n" * max(2 - there, 0) + written


class Codec(Protocol):
    """One provider's wire format: pure functions, no I/O, no state of its own.

    What must hold for every implementation: `decode` returns the text of an event exactly as the
    provider wrote it (only texts around a server's tool get a blank line between them), `""` if it has
    none, and never keeps anything outside the `Answer`; an error inside the stream is raised as the
    exception that its type stands for. An answer that the server itself says is broken is read to its
    end, for its usage may follow; `Answer.broken` is the error.

    Attributes:
        former_temperature: Whether the first version of a recording's key has the temperature that nobody
            chose; a new wire format has no such recordings.
    """

    former_temperature: ClassVar[bool]

    def encode(self, request: Request) -> WireRequest:
        """Return the request as it goes out."""
        ...

    def decode(self, data: bytes, answer: Answer) -> str:
        """Read the data of one server-sent event.

        Args:
            data: The event's data.
            answer: Filled in with what the event says.

        Returns:
            The text it brings.

        Raises:
            BadResponseError: If it is not in the provider's format.
            LLMClientError: If it is an error of the provider's.
        """
        ...

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Read a whole answer that was not streamed; otherwise like `decode`."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMClientError:
        """Return the exception for an error status."""
        ...

    def models_request(self) -> WireRequest:
        """Return the request for the list of models, which costs nothing."""
        ...

    def decode_models(self, body: bytes) -> list[str]:
        """Read the names from the list of models."""
        ...


_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,30})?([eE]-?\d{1,2})?")


def _finite(value: Any, depth: int = 20) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if not depth or not isinstance(value, (dict, list, tuple)):  # what goes in circles fails when written
        return True
    return all(_finite(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))


def loads(data: bytes) -> Any:
    """Read JSON as lenient as Python does where the fast reader is strict.

    Args:
        data: One JSON document.

    Raises:
        BadResponseError: If it is none.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        return _loads_slowly(data)


def _loads_slowly(data: bytes) -> Any:
    """Read what orjson refuses but servers send: half a surrogate pair, NaN."""
    import json

    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadResponseError(
            f"The server did not send JSON but {excerpt(data.decode('utf-8', 'replace'))}."
        ) from error


def event(data: bytes) -> dict[str, Any]:
    """Read the data of one server-sent event; one without any content is an empty object.

    Proxies that speak several formats send an empty event to keep a connection alive, and OpenAI's
    `[DONE]` to end any stream.

    Raises:
        BadResponseError: If it is no object.
    """
    if not data.startswith(b"{") and data.strip() in {b"", DONE}:
        return {}
    return as_object(loads(data))


def excerpt(value: Any) -> str:
    """Return the beginning of what a server sent, quoted; a key in it is blanked out before it is cut."""
    if isinstance(value, (dict, list)):  # nested too deeply to be written, perhaps
        return "an object" if isinstance(value, dict) else "a list"
    text = redact(str(value)[:10_000])
    if _PAGE.match(text):
        title = _TITLE.search(text)
        return f"a web page, {title[1].strip()[:80]!r}" if title else "a web page"
    return repr(text[:80])


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise BadResponseError(f"The server sent {excerpt(value)} where an object belongs.")


def lenient_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else: for what is not worth an answer, such as usage.

    Example:
        >>> lenient_object({"a": 1}), lenient_object("odd")
        ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise BadResponseError(f"The server sent {excerpt(value)} where a list belongs.")


def as_name(value: Any) -> str | None:
    """Return a name or an identifier; `None` for anything else, which is not worth an answer.

    Example:
        >>> as_name("gpt-4o-mini"), as_name(7), as_name("")
        ('gpt-4o-mini', None, None)
    """
    return value if isinstance(value, str) and value else None


def as_text(value: Any) -> str:
    """Return a string, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise BadResponseError(f"The server sent {excerpt(value)} where text belongs.")


def token_count(value: Any) -> int | None:
    """Return a number of tokens, or `None` where there is no sensible one.

    Example:
        >>> token_count("12"), token_count(-1), token_count(None)
        (12, None, None)
    """
    # Some servers write counts as text or as 12.0; int() of a long text takes its time.
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(MOST_TOKENS)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else None


def dollars(value: Any) -> float | None:
    """Return an amount in US dollars that a server states; `None` for anything else.

    Example:
        >>> dollars(0.25), dollars("0.25"), dollars("free")
        (0.25, 0.25, None)
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < float("inf") else None


def total(*counts: int | None) -> int | None:
    """Return the sum of what is known, `None` if nothing is."""
    known = [n for n in counts if n is not None]
    return sum(known) if known else None


class ContractTemperature(float):
    """A temperature that nobody chose: sent where a model takes one, left out where it does not."""

    __slots__ = ()


TEMPERATURE = ContractTemperature(0.7)
"""The contract's default temperature."""
