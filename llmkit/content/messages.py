"""`LLMMessage`, `LLMResponse` and `Usage`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from llmkit.content.attachments import Attachment
from llmkit.content.parts import (
    PARTS,
    Citation,
    Media,
    Other,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    for_provider,
    text_of,
)
from llmkit.content.reasoning import thought
from llmkit.core.brief import brief
from llmkit.core.money import format_money
from llmkit.core.rich_display import bundle_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ROLES = ("system", "user", "assistant")

UsageSource = Literal["reported", "incomplete", "partial", "estimated"]
"""`reported` by the provider; `incomplete`: reported, but the price leaves out a billed unit;
`partial`: some counts reported, the rest estimated; `estimated`."""


ALTERNATIVE = "alternative"
"""Kind of the part that holds the text of a further candidate."""


@dataclass
class LLMMessage:
    """One message of a conversation.

    Args:
        role: `"system"`, `"user"` or `"assistant"`.
        content: The text; blank only if there are parts other than text.
        attachments: Images, PDFs and text files, made by `llmkit.attach`; only for user messages.
        parts: The parts of `llmkit.parts` in order, if the message is more than text: an answer's parts
            for an assistant message, results of tools for a user message. `content` is then made from them.

    Raises:
        ValueError: If the role is unknown, the content is blank or differs from the text of the parts, or a
            message has attachments or parts that do not belong to its role.
        TypeError: If the content is not text, an attachment is not an `Attachment`, or a part is not a part.

    Example:
        >>> LLMMessage(role="user", content="Hello").role
        'user'
        >>> LLMMessage("user", parts=(ToolResult("call_1", "add", "3"),)).content
        ''
    """

    role: str
    content: str = ""
    attachments: tuple[Attachment, ...] = ()
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"Invalid role: {self.role}")
        if self.content is None:
            raise ValueError("Message content cannot be empty")
        if not isinstance(self.content, str):
            raise TypeError(f"Message content must be a string, got {type(self.content).__name__}")
        if self.parts:
            self._check_parts()
        if not (self.parts or self.content.strip()):
            raise ValueError("Message content cannot be empty")
        if self.attachments:
            self._check_attachments()

    def __repr__(self) -> str:
        more = f", attachments={self.attachments!r}" if self.attachments else ""
        more += f", parts={self.parts!r}" if self.parts else ""
        return f"LLMMessage(role={self.role!r}, content={brief(self.content, 200)}{more})"

    def _check_parts(self) -> None:
        given: object = self.parts
        if not isinstance(given, (tuple, list)):
            raise TypeError(f"parts must be a tuple of parts, got {type(given).__name__}")
        for one in given:
            if not isinstance(one, PARTS):
                raise TypeError(f"{type(one).__name__} is not a part: use those of llmkit.parts")
            if isinstance(one, _FOREIGN[self.role]):
                raise ValueError(f"A message of role {self.role} cannot have a {type(one).__name__}")  # noqa: TRY004 - of the right type in the wrong place
        # A copy, so that a list that the caller changes later does not change the message.
        self.parts = tuple(given)
        text = text_of(self.parts)
        if self.content not in {"", text}:
            raise ValueError("content and parts have different texts: pass only parts")
        self.content = text
        if not text.strip() and all(isinstance(one, Text) for one in self.parts):
            raise ValueError("Message content cannot be empty")

    def _check_attachments(self) -> None:
        given: object = self.attachments
        if not isinstance(given, (tuple, list)):
            raise TypeError(f"attachments must be a tuple of attachments, got {type(given).__name__}")
        for one in given:
            if not isinstance(one, Attachment):
                raise TypeError(f"{type(one).__name__} is not an attachment: llmkit.attach makes one")
        self.attachments = tuple(given)
        if self.role != "user":
            raise ValueError(f"Only user messages can have attachments, got role {self.role}")


_FOREIGN: Mapping[str, tuple[type[Part], ...]] = {
    "system": (Reasoning, ToolCall, ToolResult, Citation, Media, Other),
    "user": (Reasoning, ToolCall, Citation, Media),
    "assistant": (ToolResult,),
}
"""Parts that a role cannot have."""


def parts_of(message: LLMMessage) -> tuple[Part, ...]:
    """Return the parts of a message, whose text may have been changed since it was made.

    Example:
        >>> parts_of(LLMMessage("user", "Hello"))
        (Text(text='Hello', provider=None),)
    """
    if not message.parts:
        return (Text(message.content),) if message.content else ()
    if message.content == text_of(message.parts):
        return message.parts
    rest = [part for part in message.parts if not isinstance(part, Text)]
    before = tuple(takewhile(lambda part: isinstance(part, Reasoning), rest))  # as a model writes it
    return (*before, Text(message.content), *rest[len(before) :])


def messages_of(given: Sequence[LLMMessage] | str) -> list[LLMMessage]:
    """Return a conversation; a text is one question.

    Example:
        >>> messages_of("Hi")
        [LLMMessage(role='user', content='Hi')]
    """
    return [LLMMessage("user", given)] if isinstance(given, str) else list(given)


def shown_to(messages: Iterable[LLMMessage], provider: str) -> Iterator[LLMMessage]:
    """Yield messages without what only another provider understands.

    Example:
        >>> hidden = Reasoning("", {"signature": "x"}, provider="anthropic")
        >>> answer = LLMMessage("assistant", parts=(hidden, Text("Yes.")))
        >>> [message.parts for message in shown_to([answer], "openai")]
        [(Text(text='Yes.', provider=None),)]
    """
    for message in messages:
        if not message.parts:
            yield message
        elif parts := tuple(for_provider(parts_of(message), provider)):
            yield LLMMessage(message.role, "", message.attachments, parts)
        # A message with nothing left is dropped, because providers refuse empty ones.
        elif message.attachments:
            yield message


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call; `None` where it is unknown.

    Attributes:
        input_tokens: All tokens of the prompt, including cache reads and writes.
        output_tokens: All tokens that the model produced, including reasoning.
        cache_read_tokens: The part of the input read from the provider's prompt cache.
        cache_write_tokens: The part of the input written to that cache.
        cache_write_1h_tokens: The part of `cache_write_tokens` cached for an hour, at a higher price.
        reasoning_tokens: The part of the output used for hidden reasoning.
        units: Other billed units, by their names in genai-prices: tokens with their own price, such as
            `input_audio_tokens` or `output_image_tokens`, which the totals include, and `web_searches` or
            `requests`. Usage of a consulted model is named `model:unit`.

    Source: OpenTelemetry's semantic conventions for generative AI, `gen_ai.usage.*`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    units: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass
class LLMResponse:
    """The response to one call.

    Args:
        content: The complete text.
        provider: Name of the provider, e.g. `"openai"`.
        model: Model that answered, in the provider's spelling.
        tokens_used: Total tokens; computed if both parts are known.
        prompt_tokens: Tokens of the prompt (`usage.input_tokens`).
        completion_tokens: Tokens of the answer (`usage.output_tokens`).
        cost_estimate: Price in US dollars; `None` if the model's price is unknown.
        response_time: Seconds from the start of the call to its end.
        finish_reason: Why the answer ended: `"stop"`, `"length"`, `"content_filter"`, `"tool_calls"` or
            the provider's own word.
        usage: Detailed token counts.
        usage_source: Source of the token counts.
        price_source: Source of the price, e.g. `"genai-prices"`.
        request_id: The provider's request identifier.
        attempts: Number of requests sent, including retries.
        first_token_s: Seconds from the start of the call to the first text.
        uid: Identifier of the call's row in the ledger.
        simulated: Whether the sandbox answered.
        replayed: Whether this is a recorded answer, so that nothing was sent or paid.
        saved_cost: Price that a replayed answer would have had, in US dollars; `None` if unknown.
        fallback_from: `provider:model` that was tried first, if a fallback answered.
        note: A remark on the answer: what it has instead of text, or that the server did
            not say how it ended.
        raw_parts: Parts other than text, as JSON objects in the provider's own format: tool calls, images,
            citations, reasoning, items of the server's tools. Do not trust them: a model wrote them.
        parts: All parts of the answer in order, those of `llmkit.parts`; a response that is given text alone
            has one `Text`. Do not trust them: a model wrote them.
        reader: Reads `value` from the text.
    """

    content: str
    provider: str
    model: str
    tokens_used: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_estimate: float | None = None
    response_time: float | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    usage_source: UsageSource | None = None
    price_source: str | None = None
    request_id: str | None = None
    attempts: int = 1
    first_token_s: float | None = None
    uid: str | None = None
    simulated: bool = False
    replayed: bool = False
    saved_cost: float | None = None
    fallback_from: str | None = None
    note: str = ""
    raw_parts: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    parts: tuple[Part, ...] = field(default=(), repr=False)
    reader: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tokens_used is None and self.prompt_tokens is not None and self.completion_tokens is not None:
            self.tokens_used = self.prompt_tokens + self.completion_tokens
        if not self.parts and self.content:
            self.parts = (Text(self.content),)

    def __repr__(self) -> str:
        priced = self.cost_estimate is not None
        facts = [
            brief(self.content) if self.content.strip() or not self.note else self.note,
            self._tokens(),
            format_money(self.cost_estimate) if priced or self.tokens_used is not None else "",
            self.finish_reason or "",
            "simulated" if self.simulated else "",
            "replayed" if self.replayed else "",
        ]
        return f"<LLMResponse {self.provider}:{self.model} · {' · '.join(filter(None, facts))}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle_of(self)

    def _tokens(self) -> str:
        if self.prompt_tokens is not None and self.completion_tokens is not None:
            return f"{self.prompt_tokens:,}→{self.completion_tokens:,} tok"
        return "" if self.tokens_used is None else f"{self.tokens_used:,} tok"

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def reasoning(self) -> str | None:
        """The reasoning that the provider shows, also between think tags; `None` if there is none."""
        texts = [part.text for part in self.parts if isinstance(part, Reasoning) and part.text]
        return "\n\n".join(texts) or thought(self.content) or None

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources, in order."""
        return tuple(part for part in self.parts if isinstance(part, Citation))

    @property
    def media(self) -> tuple[Attachment, ...]:
        """The images and sounds that the model made."""
        return tuple(part.attachment for part in self.parts if isinstance(part, Media))

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The texts of further candidates, where several were asked for."""
        return tuple(str(part.data.get("text", "")) for part in self.parts if _is_alternative(part))

    @cached_property
    def value(self) -> Any:
        """The answer as what `schema=` asked for: an instance of its class, or JSON; the text without one.

        Raises:
            BadResponseError: If the answer does not fit.
        """
        return self.content if self.reader is None else self.reader(self.content)

    @property
    def message(self) -> LLMMessage:
        """The answer as the next message of the conversation, with all that the provider needs back.

        Raises:
            ValueError: If the answer is empty.
        """
        return LLMMessage("assistant", parts=tuple(part for part in self.parts if not _is_alternative(part)))


def _is_alternative(part: Part) -> TypeGuard[Other]:
    return isinstance(part, Other) and part.kind == ALTERNATIVE


FACTS = {
    "uid": "uid",
    "provider": "provider",
    "model": "model",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cost_usd": "cost_estimate",
    "usage_source": "usage_source",
    "finish_reason": "finish_reason",
    "duration_s": "response_time",
    "first_token_s": "first_token_s",
    "attempts": "attempts",
    "simulated": "simulated",
    "replayed": "replayed",
    "saved_usd": "saved_cost",
    "fallback_from": "fallback_from",
}
"""What is known of an answer beside its content, by the ledger's names: fields of `LLMResponse`."""


def facts(response: LLMResponse | None) -> dict[str, Any]:
    """Return the facts of an answer, by the ledger's names: no prompt, no text, no key.

    Example:
        >>> facts(LLMResponse("Hi", "openai", "gpt-6-luna", prompt_tokens=3))["input_tokens"]
        3
    """
    return {name: getattr(response, field, None) for name, field in FACTS.items()}


def build_conversation(system_prompt: str, user_messages: list[str]) -> list[LLMMessage]:
    """Build a conversation from a system prompt and alternating turns, starting with the user.

    Args:
        system_prompt: Text of the system message.
        user_messages: Alternating texts: user, assistant, user, …

    Returns:
        The messages, the system message first.

    Raises:
        ValueError: If one of the texts is blank.

    Example:
        >>> [m.role for m in build_conversation("Be brief.", ["Hi", "Hello!", "Who are you?"])]
        ['system', 'user', 'assistant', 'user']
    """
    turns = (("user", "assistant")[i % 2] for i in range(len(user_messages)))
    return [
        LLMMessage(role="system", content=system_prompt),
        *(LLMMessage(role=role, content=text) for role, text in zip(turns, user_messages, strict=True)),
    ]
