"""What a protocol must be able to say and to understand; each provider's module does it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.sandbox.conversation import Answer, Ask

ProtocolName = Literal["openai", "anthropic", "google"]
"""The protocols that the sandbox speaks."""

Action = Literal["generate", "stream", "count", "models", "model"]
"""What a route is for; `stream` where the path asks for it, as Google's does."""

MODELS = ("sandbox", "sandbox-mini")
"""Models in the lists; any other name is accepted, too."""

UNKNOWN_PREFIX = "no-such-"
"""Names that start like this are unknown models."""

CONTEXT_TOKENS = 1_000_000
"""Longest input in the lists of models."""

OUTPUT_TOKENS = 65_536
"""Longest output in the lists of models."""


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
        details: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.details = details


class Route(NamedTuple):
    """An address of a protocol: method, path below the base URL, and what it is for."""

    method: str
    path: str
    action: Action


class Frame(NamedTuple):
    """Some bytes of a stream, and whether they come before, are, or come after the text."""

    data: bytes
    kind: Literal["open", "text", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it came in.

    Attributes:
        action: What its route is for.
        model: Name of the model in the path, without a fault.
        body: JSON object of its body; empty if there was none.
        query: The URL's parameters.
        headers: The headers, names in lower case.
    """

    action: Action
    model: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """One provider's protocol, as pure functions: nothing here reads or writes a socket."""

    name: ClassVar[ProtocolName]
    request_id_header: ClassVar[str]
    routes: ClassVar[tuple[Route, ...]]

    def key(self, call: Call) -> str:
        """Find the key in a request, `""` if there is none."""
        ...

    def read(self, call: Call) -> Ask:
        """Understand a request, or raise the `RefusedError` that the provider would answer."""
        ...

    def settings(self, call: Call) -> Mapping[str, Any]:
        """Find the part of a request that holds the parameters."""
        ...

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """Say an answer in one piece."""
        ...

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """Say an answer as a stream, one frame of kind `text` for each of its pieces."""
        ...

    def spare(self, ask: Ask) -> Spare:
        """Make the frames that only faults send."""
        ...

    def count(self, tokens: int) -> dict[str, Any]:
        """Say how many tokens a prompt has."""
        ...

    def model(self, name: str) -> dict[str, Any]:
        """Describe a model."""
        ...

    def models(self) -> dict[str, Any]:
        """List the models."""
        ...

    def error(self, refused: RefusedError) -> dict[str, Any]:
        """Say what is wrong."""
        ...

    def invalid_key(self) -> RefusedError:
        """Make the error for a key that is not accepted."""
        ...

    def overloaded(self) -> RefusedError:
        """Make the error for a provider that has too much to do."""
        ...

    def unknown_model(self, name: str) -> RefusedError:
        """Make the error for a model that does not exist."""
        ...

    def unsupported(self, parameter: str) -> RefusedError:
        """Make the error for a parameter that the model does not take."""
        ...


class Spare(NamedTuple):
    """Frames that only faults send: broken JSON, an in-band error, a keep-alive."""

    malformed: bytes
    problem: bytes
    ping: bytes


def text_of(content: Any, where: str) -> str:
    """Take the text out of a message's content.

    Example:
        >>> text_of([{"type": "text", "text": "Hi"}, {"type": "image"}], "content")
        'Hi'
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise RefusedError(400, f"{where}: expected a text or an array of parts.", param=where)
    texts = (
        part if isinstance(part, str) else part.get("text")
        for part in content
        if isinstance(part, str | dict)
    )
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


def texts(value: Any) -> tuple[str, ...]:
    """Read one text or a list of them, as stop sequences come.

    Example:
        >>> texts("END")
        ('END',)
    """
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))
