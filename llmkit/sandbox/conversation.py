"""A request and its answer, in terms common to all protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmkit.content.media import most_expensive_image, most_tokens
from llmkit.sandbox.pieces import count

if TYPE_CHECKING:
    from llmkit.content.attachments import Attachment
    from llmkit.content.media import ImageTokens

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message.

    Attributes:
        role: Role of the sender; the protocols' other names (`developer`, `model`, `tool`) are mapped.
        text: The text, without the other parts.
        media: Its images and PDFs.
    """

    role: Role
    text: str
    media: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A valid request.

    Attributes:
        model: Name of the model, without a fault.
        turns: The conversation.
        stream: Whether the answer is streamed.
        sse: Whether a stream is sent as server-sent events; Google knows a JSON array, too.
        include_usage: Whether a stream ends with the token counts.
        max_tokens: Longest answer.
        stop: Texts before which the answer ends.
        wants_json: Whether the request's settings ask for JSON.
        schema: JSON schema of the answer, if one was given.
        image_tokens: How many tokens an image has in its protocol.
    """

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    sse: bool = True
    include_usage: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    wants_json: bool = False
    schema: dict[str, Any] | None = None
    image_tokens: ImageTokens = most_expensive_image

    @property
    def input_tokens(self) -> int:
        """Tokens of all turns together."""
        seen = sum(most_tokens(one, self.image_tokens) for turn in self.turns for one in turn.media)
        return seen + sum(count(turn.text) for turn in self.turns)

    @property
    def media(self) -> tuple[Attachment, ...]:
        """Images and PDFs of the user's last message that has any."""
        return next((turn.media for turn in reversed(self.turns) if turn.media), ())

    @property
    def last_user_text(self) -> str:
        """The user's last text."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token counts of a call.

    Attributes:
        input: Tokens of the prompt, the cached ones included.
        text: Tokens of the answer's text.
        reasoning: Tokens of the reasoning that is not shown; not part of `text`.
        cached: The part of `input` that was read from a cache.
        cache_write: The part of `input` that was written to a cache.
    """

    input: int
    text: int
    reasoning: int = 0
    cached: int = 0
    cache_write: int = 0

    @property
    def output(self) -> int:
        """All tokens that were produced."""
        return self.text + self.reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, ready to be sent.

    Attributes:
        id: Identifier without a protocol's prefix.
        created: Seconds since the epoch.
        model: Model that answered.
        pieces: The text, token by token.
        finish: Why it ends.
        finish_word: Finish reason to send verbatim instead of `finish`.
        stop_sequence: The text that ended it.
        tokens: Token counts; `None` if none are sent.
    """

    id: str
    created: int
    model: str
    pieces: tuple[str, ...]
    finish: Finish
    finish_word: str | None = None
    stop_sequence: str | None = None
    tokens: Tokens | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)
