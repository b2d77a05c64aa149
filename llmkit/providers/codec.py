"""`Codec`, `Request` and `Answer`: the interface of a wire format."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from llmkit.content.media import most_expensive_image
from llmkit.content.parts import Other, gap
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.providers.error_mapping import of_status
from llmkit.providers.json_fields import as_list, as_object, as_text, loads
from llmkit.transport.base import WireRequest
from llmkit.transport.sse import SSEReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmkit.content.messages import LLMMessage, Usage
    from llmkit.content.parts import Part
    from llmkit.content.schema import Schema
    from llmkit.content.tools import Tool
    from llmkit.core.errors import LLMClientError
    from llmkit.core.redaction import Secret
    from llmkit.providers.batches import BatchFormat
    from llmkit.transport.base import Framing, OutgoingRequest


FORMATS = frozenset(
    {"response_format", "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"}
)
"""Providers' parameters for a schema."""


NO_KEY = "none"
"""The key of a server that needs none; it is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call in our terms.

    Attributes:
        messages: The conversation.
        model: The provider's model name.
        temperature: Sampling temperature; `None` leaves it to the provider.
        max_tokens: Output limit in tokens; `None` leaves it to the provider.
        stream: Whether to stream the answer.
        extra: Further parameters of the provider.
        without: Parameters that the server is known to refuse for this model.
        schema: Required form of a JSON answer.
        tools: Tools that the model may call; dicts are the provider's own.
        tool_choice: `"auto"`, `"none"`, `"required"`, a tool's name, or the provider's own dict.
        effort: How much the model reasons; a word of `choices.EFFORTS`.
        tier: The service tier; a word of `choices.TIERS`.
        cache: `"auto"` or `"off"`; `None` leaves it to the provider.
        api: Which API is used, where a provider has two.
    """

    messages: tuple[LLMMessage, ...]
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    stream: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    schema: Schema | None = None
    tools: tuple[Tool | Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    effort: str | None = None
    tier: str | None = None
    cache: str | None = None
    api: str | None = None

    def __post_init__(self) -> None:
        """Validate the parameters.

        Raises:
            InvalidRequestError: If a parameter is NaN or infinite, which would be sent as `null`, or if
                there is a schema and also a parameter for one.
        """
        both = FORMATS & self.extra.keys() if self.schema is not None else ()
        for name in both:
            raise InvalidRequestError(f"Both schema and {name} are given.", hint="Remove one of them.")
        if not self.extra and _finite(self.temperature):  # the common case
            return
        parameters = {"temperature": self.temperature, **self.extra}
        for name in [name for name, value in parameters.items() if not _finite(value)]:
            raise InvalidRequestError(f"{name} contains NaN or infinity, which JSON does not support.")

    def less(self, names: frozenset[str]) -> Request:
        """Return the request without these parameters.

        Args:
            names: Their names on the wire.
        """
        return replace(self, without=self.without | names)


class Mark(NamedTuple):
    """Where a part begins, or a text with a block of its own.

    Attributes:
        texts: Number of texts before it.
        here: Characters of the next text that come before it.
        part: The part in the server's own format, or what belongs to the text.
        is_text: Whether it is a text.
    """

    texts: int
    here: int
    part: dict[str, Any]
    is_text: bool


@dataclass(slots=True)
class Answer:
    """The state of an answer; `decode` fills it in.

    Attributes:
        finish_reason: Why it ended.
        model: Model that answers, in the provider's spelling.
        request_id: The provider's request identifier, from the body.
        ended: Whether the provider's terminal marker was seen.
        closed: Whether the protocol's last possible event was seen.
        thinking: Whether the last event had reasoning, which is progress without text.
        tier: The provider's service tier.
        cost_usd: Price reported by the provider, in US dollars.
        cost_source: Who reported it: `"provider"` or `"proxy"`.
        report: The usage report so far, in the provider's format.
        read: Parses such a report.
        counted: The parsed tokens.
        texts: The texts of the events so far.
        here: Characters of the current event's text that come before what is being read.
        parts: Parts other than text, in the server's own format; `raw_parts.gathered` returns them joined.
        growing: Parts that further events may continue, by their key.
        marks: Where each part begins, and each text that has a block of its own.
        gaps: Line breaks that stand between texts and that the server did not write.
        codec: Reads the parts.
        whole: The parts, if they are known already: of a recording, or of another client.
        events: The parts that arrived and were not yet taken, if somebody wants them as they come.
        emitted: Number of `parts` that were among the events.
        calls: Whether the answer has a tool call.
        broken: The error with which the server ended it.
        last: The last text, for protocols with blocks.
        apart: Whether another block followed that text, so that the next text begins a paragraph.
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
    texts: list[str] = field(default_factory=list)
    here: int = 0
    parts: list[dict[str, Any]] = field(default_factory=list)
    growing: dict[object, dict[str, Any]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    codec: Codec | None = field(default=None, compare=False, repr=False)
    whole: tuple[Part, ...] | None = None
    events: list[Part] | None = None
    emitted: int = 0
    calls: bool = False
    broken: LLMClientError | None = None
    last: str = ""
    apart: bool = False

    @property
    def usage(self) -> Usage | None:
        """Tokens reported so far; parsed on access, because many servers report with every event."""
        if self.counted is None and self.report is not None and self.read is not None:
            self.counted = self.read(self.report)
        return self.counted

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self.counted, self.report = usage, None

    def begin_text(self, opaque: dict[str, Any] | None = None) -> None:
        """Note that a text with a block of its own begins, and what the provider needs back with it."""
        self.marks.append(Mark(len(self.texts), self.here, opaque or {}, is_text=True))

    def paragraph(self, written: str) -> str:
        """Return the next text, after a blank line if another part separates it from the previous text."""
        if not written:
            return ""
        before, self.last = self.last, written
        if not self.apart:
            return written
        self.apart = False
        if not before:
            return written
        if missing := gap(before, written):
            self.gaps.append((len(self.texts), self.here, missing))
        return "\n" * missing + written


class Codec(ABC):
    """One provider's wire format, and the facts that are the provider's own: pure functions without I/O.

    A subclass writes `encode`, `decode` and `decode_body`; everything else has a default, which is what most
    providers do. `decode` returns the text of an event exactly as the provider wrote it (only texts around a
    server's tool get a blank line between them), `""` if it has none, and keeps nothing outside the `Answer`;
    an error inside the stream is raised as the exception that its type stands for. An answer that the server
    itself says is broken is read to its end, because its usage may follow; `Answer.broken` is the error.

    Attributes:
        sandbox: Name of the sandbox's dialect that speaks this format; `""` if there is none.
        batches: The provider's Batch API, if there is one.
        output_limit: Tokens of an answer where no limit is given; `None` if it is the model's own limit.
        limit_fields: Fields in which `Request.max_tokens` can be sent.
        limit_parameters: Users' parameters that limit an answer, and ...
        choice_parameters: ... that ask for several answers, ...
        tier_parameters: ... that choose a service tier, ...
        nested_parameters: ... that hold further parameters.
        schema_fields: Fields by which a schema is sent; where one is refused, the prompt asks for it.
        own_fields: Fields that nobody chose, and that are left out where a server refuses them.
        tiers: The provider's names of the service tiers.
        caches_unasked: Whether a prompt may be written to a cache that was not asked for.
        former_temperature: Whether version 1 keys of recordings include the default
            temperature; a new wire format has no such recordings.
    """

    sandbox: ClassVar[str] = ""
    batches: ClassVar[BatchFormat | None] = None
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
    own_fields: ClassVar[frozenset[str]] = frozenset()
    tiers: ClassVar[Mapping[str, str]] = {}
    caches_unasked: ClassVar[bool] = True
    former_temperature: ClassVar[bool] = False

    image_tokens = staticmethod(most_expensive_image)
    """Tokens of an image of this size (`None`: unknown) for this model, at most."""

    def chosen(self, request: Request) -> Codec:
        """Return the wire format in which a request is sent: this one, unless a provider has several.

        Raises:
            InvalidRequestError: If the request asks for another one.
        """
        if request.api not in {None, "auto"}:
            raise InvalidRequestError(
                f"api={request.api!r} is a choice of OpenAI's models; {request.model} has one API.",
                hint="Leave api out.",
            )
        return self

    def deny(self, error: LLMClientError) -> bool:  # noqa: ARG002 - as above
        """Note that a server does not have this format; whether another one is to be tried now."""
        return False

    @classmethod
    def sends_limit(cls, request: Request) -> bool:
        """Whether `max_tokens` is sent: not if the server refused every name of it."""
        return not cls.limit_fields <= request.without

    @classmethod
    def most_output(cls, request: Request) -> int | None:  # noqa: ARG003 - reasoning may add to it
        """Return the output limit where a request gives none; `None` if it is the model's own limit."""
        return cls.output_limit

    @abstractmethod
    def encode(self, request: Request) -> WireRequest:
        """Encode the request."""

    @abstractmethod
    def decode(self, data: bytes, answer: Answer) -> str:
        """Read one event of a stream: fill in the answer with what it says, and return the text it brings.

        Raises:
            BadResponseError: If it is not in the provider's format.
            LLMClientError: If it is an error of the provider.
        """

    @abstractmethod
    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Decode a response that was not streamed; otherwise like `decode`."""

    def read_part(self, raw: dict[str, Any]) -> Iterable[Part]:
        """Return our parts for one in the provider's format, as `decode` stored it.

        The default keeps everything: a part of an unknown kind goes back to the provider as it came.
        """
        return (Other(kind_of(raw), raw),)

    def as_sent(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return a part that `decode` stored without what it added."""
        return raw

    def finish_parts(self, parts: list[Part]) -> Iterable[Part]:
        """Return the parts of a whole answer, completed by what no part tells alone."""
        return parts

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

    def count_request(self, request: Request) -> WireRequest | None:  # noqa: ARG002 - many have none
        """Return the free request that counts a prompt's tokens; `None` if there is no such endpoint."""
        return None

    def decode_count(self, body: bytes) -> int:
        """Decode the answer to `count_request`.

        Raises:
            BadResponseError: If there is no count in it.
        """
        found = as_object(loads(body))
        tokens = found.get("input_tokens", found.get("totalTokens"))
        if not isinstance(tokens, int) or tokens < 0:
            raise BadResponseError("The answer has no number of tokens.")
        return tokens

    def models_request(self) -> WireRequest:
        """Return the free request for the list of models."""
        return WireRequest(path="/models")

    def decode_models(self, body: bytes) -> list[str]:
        """Decode the list of models."""
        return [as_text(as_object(model).get("id")) for model in as_list(as_object(loads(body)).get("data"))]


def kind_of(raw: dict[str, Any]) -> str:
    """Return the provider's word for a part: its type, or the name of its only field."""
    kind = raw.get("type")
    return kind if isinstance(kind, str) and kind else next(iter(raw), "unknown")


def _finite(value: Any, depth: int = 20) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if not depth or not isinstance(value, (dict, list, tuple)):  # a cyclic value fails when it is encoded
        return True
    return all(_finite(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))


class ContractTemperature(float):
    """A default temperature: sent if the model accepts one, otherwise dropped."""

    __slots__ = ()


TEMPERATURE = ContractTemperature(0.7)
"""The contract's default temperature."""
