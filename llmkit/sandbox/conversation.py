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
    """One message."""

    role: Role  # other words (`developer`, `model`, `tool`) are mapped to these
    text: str  # without the parts that are not text
    media: tuple[Attachment, ...] = ()  # images and PDFs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A valid request."""

    model: str  # without the fault
    turns: tuple[Turn, ...]
    stream: bool = False
    sse: bool = True  # server-sent events; Google also streams a JSON array
    include_usage: bool = True  # whether a stream ends with token counts
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()  # stop sequences
    wants_json: bool = False
    schema: dict[str, Any] | None = None
    image_tokens: ImageTokens = most_expensive_image  # the protocol's rule

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
    """Token counts of a call."""

    input: int  # prompt tokens, including cached ones
    text: int
    reasoning: int = 0  # hidden reasoning; not part of `text`
    cached: int = 0  # part of `input`
    cache_write: int = 0  # part of `input`

    @property
    def output(self) -> int:
        """All tokens that were produced."""
        return self.text + self.reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, ready to be sent."""

    id: str  # without the protocol's prefix
    created: int  # seconds since the epoch
    model: str
    pieces: tuple[str, ...]  # one token each
    finish: Finish
    finish_word: str | None = None  # sent verbatim instead of `finish`
    stop_sequence: str | None = None  # the one that ended the text
    tokens: Tokens | None = None  # `None` sends none

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)
