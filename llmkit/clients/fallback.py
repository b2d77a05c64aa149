"""Fallback models, which are tried in order if a model fails.

A parameter of one protocol can have another meaning in another protocol, or none. It is dropped if the
request means the same without it; otherwise the fallback is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from llmkit.clients.engine.attempts import warn_dropped
from llmkit.clients.engine.parameters import droppable
from llmkit.core.errors import (
    BudgetExceededError,
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    ReplayMissError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.clients.accounting.accounting import Source
    from llmkit.clients.engine.call import Call
    from llmkit.providers.codec import Codec, Request

logger = logging.getLogger(__name__)


class FallbackClient(Protocol):
    """A client that can take over a call."""

    provider_name: str

    def default_model(self) -> str:
        """Return the model that this client would call."""
        ...

    def speaks(self, protocol: type[Codec]) -> bool:
        """Whether parameters of a protocol can be sent unchanged."""
        ...

    def take_over(self, call: Call, asked: Request) -> Source:
        """Call this client's model instead of the one that failed."""
        ...


class Fallbacks:
    """The text of a call, from the first model that answers; a `Source`."""

    def __init__(
        self, call: Call, source: Source, fallbacks: Sequence[FallbackClient], protocol: type[Codec]
    ) -> None:
        self._call = call
        self._asked = call.request
        self._first = call.name
        self._source = source
        self._fallbacks = list(fallbacks)
        self._protocol = protocol
        self._failures: list[str] = []

    async def next(self) -> list[str] | None:
        """Return the next chunks of text; `None` at the end of the answer."""
        while True:
            try:
                return await self._source.next()
            except LLMClientError as error:
                before = len(self._failures)
                # Another model must not continue a text that this one began.
                hopeless = self._call.started or not worth_another_model(error)
                other = None if hopeless else self._next_fallback()
                for failure in self._failures:
                    error.add_note(failure)
                if other is None:
                    raise
                self._failures.insert(before, f"Before that, {self._call.name} failed: {error}")
                await self._go_on(other, error)

    async def aclose(self) -> None:
        """Stop."""
        await self._source.aclose()

    def _next_fallback(self) -> FallbackClient | None:
        """Return the next model that can take the request with the same meaning."""
        while self._fallbacks:
            other = self._fallbacks.pop(0)
            lost = [] if other.speaks(self._protocol) else _specific(self._asked)
            kept = [name for name in lost if not droppable(name)]
            if not kept:
                return other
            name = f"{other.provider_name}:{other.default_model()}"
            self._failures.append(not_asked(name, kept, self._first))
            logger.warning("%s", self._failures[-1])
        return None

    async def _go_on(self, other: FallbackClient, error: LLMClientError) -> None:
        await self._source.aclose()
        failed, asked = self._call.name, self._asked
        if not other.speaks(self._protocol):
            for name in sorted(asked.extra):
                warn_dropped(name, other.default_model())
            asked = replace(asked, extra={}, api=None)
        self._source = other.take_over(self._call, asked)
        logger.warning("%s failed: %s Falling back to %s.", failed, error.message, self._call.name)


def _specific(request: Request) -> list[str]:
    """Return the names of what another protocol does not know."""
    own = {
        "tools": any(isinstance(tool, Mapping) for tool in request.tools),
        "tool_choice": isinstance(request.tool_choice, Mapping),
    }
    return sorted({*request.extra, *(name for name, is_own in own.items() if is_own)})


def worth_another_model(error: LLMClientError) -> bool:
    """Whether another model may succeed after this error.

    An invalid request, a budget or a setting fails with every model. A prompt that is too long may fit
    another model.

    Example:
        >>> worth_another_model(LLMClientError("broken")), worth_another_model(InvalidRequestError("wrong"))
        (True, False)
    """
    # First, because it is also an InvalidRequestError.
    if isinstance(error, ContextLengthError):
        return True
    same = (InvalidRequestError, BudgetExceededError, ConfigurationError, ReplayMissError)
    return not isinstance(error, same)


def not_asked(name: str, lost: Sequence[str], first: str) -> str:
    """Say why a model was skipped.

    Example:
        >>> not_asked("anthropic:claude-haiku-5-5", ["tools"], "openai:gpt-6-luna")
        'anthropic:claude-haiku-5-5 was skipped: tools is specific to openai:gpt-6-luna.'
    """
    are = "is" if len(lost) == 1 else "are"
    return f"{name} was skipped: {', '.join(lost)} {are} specific to {first}."
