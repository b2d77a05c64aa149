"""The interface of a dialect, which each provider's module implements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.sandbox.conversation import Answer, Ask
    from llmkit.sandbox.rate_limits import Breach, Level

ProtocolName = Literal["openai", "anthropic", "google"]
"""The protocols that the sandbox speaks."""

Action = Literal["generate", "stream", "count", "models", "model", "endpoint"]
"""The purpose of a route; `stream` if the path selects streaming, as Google's does."""

MODELS = ("sandbox", "sandbox-mini", "sandbox-thinking")
"""The listed models; other names are accepted, too."""

UNKNOWN_PREFIX = "no-such-"
"""Names that start like this are unknown models."""

CONTEXT_TOKENS = 1_000_000
"""Maximum number of input tokens in the lists of models."""

OUTPUT_TOKENS = 65_536
"""Maximum number of output tokens in the lists of models."""


class RefusedError(Exception):
    """A request that gets an HTTP error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.kind = kind  # OpenAI's type of the error
        self.headers = dict(headers or {})
        self.details = details


class Route(NamedTuple):
    """A route of a protocol: method, path below the base URL, and purpose."""

    method: str
    path: str
    action: Action


class Frame(NamedTuple):
    """Some bytes of a stream, and whether they come before, are, or come after the text."""

    data: bytes
    kind: Literal["open", "text", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it came in."""

    action: Action
    model: str = ""  # from the path, without the fault
    body: dict[str, Any] = field(default_factory=dict)  # empty if there was none
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case


class Dialect(Protocol):
    """One provider's protocol, as pure functions: nothing here reads or writes a socket."""

    name: ClassVar[ProtocolName]
    request_id_header: ClassVar[str]
    routes: ClassVar[tuple[Route, ...]]

    def key(self, call: Call) -> str:
        """Return the key of a request, `""` if there is none."""
        ...

    def read(self, call: Call) -> Ask:
        """Parse a request, or raise the provider's error as a `RefusedError`."""
        ...

    def settings(self, call: Call) -> Mapping[str, Any]:
        """Return the part of a request that has the parameters."""
        ...

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """Encode an answer that is not streamed."""
        ...

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """Encode an answer as a stream, with one frame of kind `text` for each piece."""
        ...

    def spare(self, ask: Ask) -> Spare:
        """Return the frames that only faults send."""
        ...

    def count(self, tokens: int) -> dict[str, Any]:
        """Encode the token count of a prompt."""
        ...

    def model(self, name: str) -> dict[str, Any]:
        """Describe a model."""
        ...

    def models(self) -> dict[str, Any]:
        """List the models."""
        ...

    def error(self, refused: RefusedError) -> dict[str, Any]:
        """Encode an error."""
        ...

    def invalid_key(self) -> RefusedError:
        """Return the error for an invalid key."""
        ...

    def overloaded(self) -> RefusedError:
        """Return the error for an overloaded provider."""
        ...

    def unknown_model(self, name: str) -> RefusedError:
        """Return the error for an unknown model."""
        ...

    def unsupported(self, parameter: str) -> RefusedError:
        """Return the error for a parameter that the model does not support."""
        ...

    def metered(self, ask: Ask) -> dict[str, int]:
        """Return what a request takes from the rate limits before it is answered."""
        return {"requests": 1, "tokens": ask.input_tokens}

    def metered_after(self, answer: Answer) -> dict[str, int]:
        """Return what an answer takes from the rate limits."""
        del answer
        return {}

    def limit_headers(self, levels: Mapping[str, Level]) -> dict[str, str]:
        """Return the headers for the state of the rate limits."""
        del levels
        return {}

    def limited(self, model: str, breach: Breach) -> RefusedError:
        """Return the error for a request above a rate limit."""
        ...


class Spare(NamedTuple):
    """Frames that only faults send: broken JSON, an in-band error, a keep-alive."""

    malformed: bytes
    problem: bytes
    ping: bytes


def text_of(content: Any, where: str) -> str:
    """Return the text of a message's content.

    Example:
        >>> text_of([{"type": "text", "text": "Hi"}, {"type": "image"}], "content")
        'Hi'
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise RefusedError(400, f"{where}: expected a text or an array of parts.", param=where)
    texts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def whole_number(value: Any, where: str) -> int | None:
    """Check a number of tokens.

    Example:
        >>> whole_number(16, "max_tokens")
        16
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RefusedError(
            400, f"{where}: expected a whole number of at least 1, got {value!r}.", param=where
        )
    return value


def pick(body: Mapping[str, Any], name: str) -> Any:
    """Return a field by its name in camel case or, as protocol buffers allow, in snake case.

    Example:
        >>> pick({"max_output_tokens": 5}, "maxOutputTokens")
        5
    """
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return body.get(name, body.get(snake))


def texts(value: Any) -> tuple[str, ...]:
    """Read one text or a list of them, as stop sequences come.

    Example:
        >>> texts("END")
        ('END',)
    """
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))
