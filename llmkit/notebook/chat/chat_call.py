"""One call of a chat, prepared: with tools it is a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.clients.registry import shared_client
from llmkit.clients.tools.loop import Loop
from llmkit.notebook.streams import open_stream
from llmkit.notebook.tools.stream import ToolStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.clients.registry import ModelName
    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMMessage
    from llmkit.content.tools import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """What is asked, of whom, and what it may cost."""

    name: ModelName
    messages: list[LLMMessage]
    options: Mapping[str, Any]  # of `stream_text`
    context: Mapping[str, Any]  # of `records.calling`
    fallback: tuple[str, ...]
    tools: tuple[Tool | Mapping[str, Any], ...]
    max_steps: int
    max_cost: float | None  # of all requests, in US dollars
    left: float | None  # of the chat's budget, which simulated answers do not use

    def open(self) -> TextStream | ToolStream:
        """Open the call; nothing is sent before its first step."""
        if not self.tools:
            return open_stream(self.name, self.messages, self.options, self.context, self.fallback)
        client = shared_client(str(self.name), self.fallback)
        free = getattr(client, "simulated", False)
        loop = Loop(
            client,
            self.messages,
            tools=self.tools,
            max_steps=self.max_steps,
            # With nothing left, the context refuses the first request.
            max_cost=self.max_cost if free or not self.left else least(self.max_cost, self.left),
            options={"model": self.name.model, **self.options},
        )
        return ToolStream(loop)


def least(*amounts: float | None) -> float | None:
    """Return the lowest of the amounts that there are.

    Example:
        >>> least(0.5, None, 0.2), least(None)
        (0.2, None)
    """
    return min((amount for amount in amounts if amount is not None), default=None)
