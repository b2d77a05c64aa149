"""What a provider is to llmkit: pure functions between our words and its wire format."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import dearest_image
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.error_mapping import of_status
from llmkit.providers.json_fields import as_list, as_object, as_text, loads
from llmkit.transport.base import WireRequest
from llmkit.transport.sse import SSEReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.content.messages import LLMMessage, Usage
    from llmkit.content.schema import Schema
    from llmkit.core.errors import LLMClientError
    from llmkit.core.redaction import Secret
    from llmkit.transport.base import Framing, OutgoingRequest


FORMATS = frozenset(
    {"response_format", "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"}
)
"""The providers' words for a schema."""


NO_KEY = "none"
"""The key of a server that wants none: nothing is sent for it."""


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


class Codec(ABC):
    """One provider's wire format, and the facts that are the provider's own: pure functions without I/O.

    A subclass writes `encode`, `decode` and `decode_body`; everything else has a default, which is what most
    providers do. `decode` returns the text of an event exactly as the provider wrote it (only texts around a
    server's tool get a blank line between them), `""` if it has none, and keeps nothing outside the `Answer`;
    an error inside the stream is raised as the exception that its type stands for. An answer that the server
    itself says is broken is read to its end, because its usage may follow; `Answer.broken` is the error.

    Attributes:
        sandbox: Name of the sandbox's dialect that speaks this format; `""` if there is none.
        output_limit: Tokens of an answer where no limit is given; `None` if it is the model's own limit.
        limit_fields: Fields in which `Request.max_tokens` can be sent.
        limit_parameters: Users' parameters that limit an answer, and ...
        choice_parameters: ... that ask for several answers, ...
        tier_parameters: ... that choose a service tier, ...
        nested_parameters: ... that hold further parameters.
        schema_fields: Fields by which a schema is sent; where one is refused, the prompt asks for it.
        caches_unasked: Whether a prompt may be written to a cache that was not asked for.
        documents: First bytes of a body that is a whole answer or a page, not the stream that was asked for.
        former_temperature: Whether the first version of a recording's key has the temperature that nobody
            chose; a new wire format has no such recordings.
    """

    sandbox: ClassVar[str] = ""
    output_limit: ClassVar[int | None] = None
    limit_fields: ClassVar[frozenset[str]] = frozenset({"max_tokens"})
    limit_parameters: ClassVar[frozenset[str]] = frozenset(
        {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"}
    )
    choice_parameters: ClassVar[frozenset[str]] = frozenset({"n", "candidate_count", "candidateCount"})
    tier_parameters: ClassVar[frozenset[str]] = frozenset({"service_tier", "serviceTier", "speed"})
    nested_parameters: ClassVar[frozenset[str]] = frozenset(
        {"generation_config", "generationConfig", "extra_body"}
    )
    schema_fields: ClassVar[frozenset[str]] = frozenset()
    caches_unasked: ClassVar[bool] = True
    documents: ClassVar[frozenset[bytes]] = frozenset({b"{", b"[", b"<"})
    former_temperature: ClassVar[bool] = False

    image_tokens = staticmethod(dearest_image)
    """Tokens of an image of this size (`None`: unknown) for this model, at most."""

    @abstractmethod
    def encode(self, request: Request) -> WireRequest:
        """Return the request as it goes out."""

    @abstractmethod
    def decode(self, data: bytes, answer: Answer) -> str:
        """Read one event of a stream: fill in the answer with what it says, and return the text it brings.

        Raises:
            BadResponseError: If it is not in the provider's format.
            LLMClientError: If it is an error of the provider's.
        """

    @abstractmethod
    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Read a whole answer that was not streamed; otherwise like `decode`."""

    def framing(self) -> Framing:
        """Return a new reader that divides the bytes of a stream into events: server-sent events."""
        return SSEReader()

    def sign(self, key: Secret, request: OutgoingRequest) -> Mapping[str, str]:  # noqa: ARG002 - a signature's
        """Return the headers that authorize a request; a signature may cover all of it."""
        return {} if key.reveal() == NO_KEY else {"authorization": f"Bearer {key.reveal()}"}

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMClientError:
        """Return the exception for an error status."""
        return of_status(status, headers, body)

    def parameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of a request's body, with those that lie a level deeper."""
        return body

    def dropped(self, request: Request) -> frozenset[str]:
        """Return the parameters to leave out; the user may have one that is named like a schema's field."""
        return request.without - self.schema_fields

    def models_request(self) -> WireRequest:
        """Return the request for the list of models, which costs nothing."""
        return WireRequest(path="/models")

    def decode_models(self, body: bytes) -> list[str]:
        """Read the names from the list of models."""
        return [as_text(as_object(model).get("id")) for model in as_list(as_object(loads(body)).get("data"))]


def _finite(value: Any, depth: int = 20) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if not depth or not isinstance(value, (dict, list, tuple)):  # what goes in circles fails when written
        return True
    return all(_finite(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))


class ContractTemperature(float):
    """A temperature that nobody chose: sent where a model takes one, left out where it does not."""

    __slots__ = ()


TEMPERATURE = ContractTemperature(0.7)
"""The contract's default temperature."""
