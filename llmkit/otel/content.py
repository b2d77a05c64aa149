"""Prompts and answers as attributes: only if the user asked for them, and without keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmkit.content.parts import Reasoning, Text, ToolCall, ToolResult, json_text
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.content.parts import Part

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_YES = frozenset({"true", "1", "span_only", "span_and_event"})
"""The values that OpenTelemetry's own instrumentations take; there are no events here."""


def is_captured() -> bool:
    """Whether spans have prompts and answers."""
    return os.environ.get(VARIABLE, "").strip().lower() in _YES


def text(given: str) -> str:
    """Return a text without keys."""
    return redact(given)


def messages(given: Iterable[LLMMessage]) -> str:
    """Return messages as JSON, in the form of the conventions."""
    return redact(json_text([{"role": one.role, "parts": list(_parts(one))} for one in given]))


def answer(response: LLMResponse) -> str:
    """Return an answer as JSON, in the form of the conventions."""
    parts = [part for one in response.parts if (part := _part(one)) is not None]
    said = {"role": "assistant", "parts": parts, "finish_reason": response.finish_reason or "stop"}
    return redact(json_text([said]))


def _parts(message: LLMMessage) -> Iterator[dict[str, Any]]:
    if message.parts:
        yield from (part for one in message.parts if (part := _part(one)) is not None)
    elif message.content:
        yield {"type": "text", "content": message.content}
    # Files are named, never sent.
    yield from ({"type": "blob", "mime_type": one.media_type} for one in message.attachments)


def _part(part: Part) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "text", "content": part.text}
        case Reasoning():
            return {"type": "reasoning", "content": part.text} if part.text else None
        case ToolCall():
            arguments = part.raw if part.arguments is None else dict(part.arguments)
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
        case ToolResult():
            return {"type": "tool_call_response", "id": part.call_id, "response": part.content}
    return None
