"""A request and its answer, in terms common to all protocols."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmkit.content.media import most_expensive_image, most_tokens
from llmkit.sandbox.pieces import count, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.attachments import Attachment
    from llmkit.content.media import ImageTokens

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "stop_sequence", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the model may call."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)  # JSON schema of its arguments

    @property
    def properties(self) -> dict[str, Any]:
        """The schemas of its arguments, by name."""
        return dict(self.schema.get("properties") or {})


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a function by the model."""

    id: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def raw(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call returned."""

    id: str  # of the call; "" if the protocol goes by order
    text: str
    name: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One message."""

    role: Role  # other words (`developer`, `model`, `tool`) are mapped to these
    text: str  # without the parts that are not text
    media: tuple[Attachment, ...] = ()  # images and PDFs
    calls: tuple[Invocation, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A web page that a stretch of the text is based on."""

    title: str
    url: str
    start: int  # in characters of the text
    end: int


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
    functions: tuple[Function, ...] = ()
    choice: str = "auto"  # `none`, `required` or the name of a function
    parallel: bool = True  # whether one answer may have several calls
    searches: bool = False  # whether the provider's own search is offered
    draws: bool = False  # whether images may be made
    effort: str = ""  # how much to think; "" does not
    shows_thoughts: bool = True  # whether thoughts are sent, not only counted
    echo: Mapping[str, Any] = field(default_factory=dict)  # fields of the request that the answer repeats

    @property
    def input_tokens(self) -> int:
        """Tokens of all turns together, and of the functions' descriptions."""
        seen = sum(most_tokens(one, self.image_tokens) for turn in self.turns for one in turn.media)
        said = [turn.text for turn in self.turns]
        said += [f"{call.name}{call.raw}" for turn in self.turns for call in turn.calls]
        said += [outcome.text for turn in self.turns for outcome in turn.outcomes]
        said += [f"{one.name}{one.description}{json.dumps(one.schema)}" for one in self.functions]
        return seen + sum(map(count, said))

    @property
    def media(self) -> tuple[Attachment, ...]:
        """Images and PDFs of the user's last message that has any."""
        return next((turn.media for turn in reversed(self.turns) if turn.media), ())

    @property
    def last_user_text(self) -> str:
        """The user's last text."""
        return next((turn.text for turn in reversed(self.turns) if _is_question(turn)), "")

    @property
    def current(self) -> tuple[Turn, ...]:
        """The turns since the user's last text."""
        place = next((n for n in reversed(range(len(self.turns))) if _is_question(self.turns[n])), -1)
        return self.turns[place + 1 :]

    @property
    def done(self) -> list[tuple[Invocation, Outcome]]:
        """The calls since the user's last text that have a result, with it."""
        calls = [call for turn in self.current for call in turn.calls]
        outcomes = [outcome for turn in self.current for outcome in turn.outcomes]
        known = {outcome.id: outcome for outcome in outcomes if outcome.id}
        ordered = zip(calls, outcomes, strict=False)
        # Results without an identifier, as from older Gemini clients, belong to the calls in order.
        by_order = [pair for pair in ordered if not pair[1].id]
        return by_order or [(call, known[call.id]) for call in calls if call.id in known]


def _is_question(turn: Turn) -> bool:
    """Whether the user says something, instead of only giving results."""
    return turn.role == "user" and bool(turn.text or not turn.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token counts of a call."""

    input: int  # prompt tokens, including cached ones
    text: int  # with calls
    reasoning: int = 0  # not part of `text`
    image: int = 0  # an image that was made; not part of `text` and `output`
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
    thoughts: tuple[str, ...] = ()  # one token each; sent before the text
    calls: tuple[Invocation, ...] = ()
    sources: tuple[Source, ...] = ()
    image: bytes | None = None  # a PNG

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def thought(self) -> str:
        """The whole reasoning."""
        return "".join(self.thoughts)

    @property
    def length(self) -> int:
        """Tokens that a stream sends one by one."""
        return len(self.thoughts) + len(self.pieces) + sum(len(split(call.raw)) for call in self.calls)
