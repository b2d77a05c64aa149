"""Parts in the Messages format: reading them from answers, writing them into messages.

Source: Anthropic API reference, "Create a Message"; guides "Tool use", "Extended thinking" and "Citations".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import parts_of
from llmkit.content.parts import (
    Citation,
    Other,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Writers,
    each_written,
    json_text,
)
from llmkit.providers.attachment_limits import media, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMMessage


def read_part(raw: dict[str, Any]) -> Iterable[Part]:
    """Return our parts for one block of an answer, or for a citation."""
    kind = raw.get("type")
    if kind == "thinking":
        return (Reasoning(str(raw.get("thinking") or ""), raw),)
    if kind == "redacted_thinking":
        return (Reasoning("", raw),)
    if kind == "tool_use":
        return (_call(raw),)
    if "cited_text" in raw:
        return (_citation(raw),)
    return (Other(str(kind or "unknown"), raw),)


def content(message: LLMMessage) -> str | list[dict[str, Any]]:
    """Return a message's content: a string, or blocks."""
    if not message.parts:
        blocks = [block(one) for one in media(message)]
        said = written(message)
        return [*blocks, {"type": "text", "text": said}] if blocks else said
    if message.role == "assistant":
        return list(each_written(parts_of(message), _WRITERS))
    results = [_result(part) for part in message.parts if isinstance(part, ToolResult)]
    said = written(message)
    text = [{"type": "text", "text": said}] if said.strip() else []
    return [*results, *(block(one) for one in media(message)), *text]  # the API wants results first


def block(one: Attachment) -> dict[str, Any]:
    """Return the block of an image or a PDF."""
    source = {"type": "base64", "media_type": one.media_type, "data": one.base64}
    if one.url:
        source = {"type": "url", "url": one.url}
    if one.kind == "image":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({"title": one.name} if one.name else {})}


def _call(raw: dict[str, Any]) -> ToolCall:
    given = raw.get("input")
    text = given if isinstance(given, str) else json_text(given or {})
    more = {name: value for name, value in raw.items() if name not in {"type", "id", "name", "input"}}
    arguments = given if isinstance(given, dict) else None
    return ToolCall(str(raw.get("id") or ""), str(raw.get("name") or ""), arguments, text, more or None)


def _citation(raw: dict[str, Any]) -> Citation:
    title = raw.get("title") or raw.get("document_title") or raw.get("source") or raw.get("url")
    url = raw.get("url")
    return Citation(
        str(title or "Source"),
        url if isinstance(url, str) else None,
        str(raw.get("cited_text") or "") or None,
        opaque=raw,
    )


def with_citations(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts of an answer; a text holds its citations in the API's format, for the way back."""
    waiting: list[Part] = []
    for part in parts:
        if not isinstance(part, Citation):
            yield from _joined(waiting)
            waiting = []
        waiting.append(part)
    yield from _joined(waiting)


def _joined(parts: list[Part]) -> Iterator[Part]:
    """Yield a part and the citations behind it."""
    if len(parts) > 1 and isinstance(text := parts[0], Text):
        citations = [dict(part.opaque) for part in parts[1:] if part.opaque]
        yield replace(text, opaque={**(text.opaque or {}), "citations": citations})
        yield from (replace(part, opaque=None) for part in parts[1:])
    else:
        yield from parts


def _text(part: Text) -> dict[str, Any] | None:
    if not part.text.strip():  # the API refuses blank text
        return None
    return {**(part.opaque or {}), "type": "text", "text": part.text}


def _thinking(part: Reasoning) -> dict[str, Any] | None:
    # The API refuses thinking without its signature.
    return dict(part.opaque or {}) if _is_signed(part) else None


def _use(part: ToolCall) -> dict[str, Any]:
    called = {"id": part.id, "name": part.name, "input": dict(part.arguments or {})}
    return {**(part.opaque or {}), "type": "tool_use", **called}


def _other(part: Other) -> dict[str, Any] | None:
    return dict(part.data) if "type" in part.data else None


_WRITERS: Writers = {Text: _text, Reasoning: _thinking, ToolCall: _use, Other: _other}
"""Writes the blocks of an assistant's message."""


def _is_signed(part: Reasoning) -> bool:
    opaque = part.opaque or {}
    # Redacted thinking has `data` in place of a signature.
    kept = opaque.get("signature") or opaque.get("data")
    return opaque.get("type") in {"thinking", "redacted_thinking"} and bool(kept)


def _result(result: ToolResult) -> dict[str, Any]:
    files = [block(one) for one in result.attachments]
    text = [{"type": "text", "text": result.content}] if result.content.strip() else []
    whole = {
        "type": "tool_result",
        "tool_use_id": result.call_id,
        "content": [*text, *files] if files else result.content,
    }
    return {**whole, "is_error": True} if result.is_error else whole
