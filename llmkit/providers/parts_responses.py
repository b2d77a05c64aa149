"""Parts in the format of the Responses API: reading output items, writing input items.

Source: OpenAI API reference, "Create a model response", "The response object" and "Streaming events".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import parts_of
from llmkit.content.parts import (
    Citation,
    Media,
    Other,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Writers,
    each_written,
    gap,
)
from llmkit.providers.attachment_limits import media, written
from llmkit.providers.codec import kind_of
from llmkit.providers.json_fields import as_list, lenient_object
from llmkit.providers.media_parts import made
from llmkit.providers.parts_openai import arguments_text, citation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMMessage

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that call the user's tools, and the field with what the model wrote."""


def read_part(raw: dict[str, Any]) -> Iterable[Part]:
    """Return our parts for one output item, or for an annotation."""
    kind = str(raw.get("type"))
    if kind == "reasoning":
        return (Reasoning(_summary(raw), {k: v for k, v in raw.items() if k != "summary_text"}),)
    if kind in _CALLS:
        return (_call(raw, kind),)
    if kind == "image_generation_call" and (image := made("image/png", raw.get("result"))) is not None:
        return (Media(image, {name: value for name, value in raw.items() if name != "result"}),)
    if kind.endswith("_citation"):
        return (citation(raw),)
    return (Other(kind_of(raw), raw),)


def with_places(parts: list[Part]) -> Iterator[Part]:
    """Yield the parts of an answer; the places of sources, counted in one text, are those in the whole."""
    whole, apart, start = "", False, 0
    for part in parts:
        if isinstance(part, Text):
            missing = gap(whole, part.text) if apart and part.text else 0
            start = len(whole) + missing
            whole += "\n" * missing + part.text
            apart = apart and not part.text
        elif isinstance(part, Citation) and part.start is not None and part.end is not None:
            part = replace(part, start=part.start + start, end=part.end + start)  # noqa: PLW2901
        elif not isinstance(part, Reasoning | Citation):
            apart = True
        yield part


def items(messages: Iterable[LLMMessage], *, stored: bool) -> list[dict[str, Any]]:
    """Return messages as input items.

    Args:
        messages: The conversation.
        stored: Whether the server keeps answers, so that it knows reasoning by its identifier.
    """
    found: list[dict[str, Any]] = []
    custom: set[str] = set()
    for message in messages:
        if message.role == "assistant" and message.parts:
            found += _output_items(parts_of(message), stored=stored)
            # The result of a custom call has a type of its own, and only the call tells which it needs.
            custom |= {str(item.get("call_id")) for item in found if item.get("type") == "custom_tool_call"}
            continue
        results = (part for part in message.parts if isinstance(part, ToolResult))
        found += [_result(result, custom=result.call_id in custom) for result in results]
        if content := _content(message):
            found.append({"role": message.role, "content": content})
    return found


def _summary(item: dict[str, Any]) -> str:
    """Return the summary of reasoning, or the reasoning itself where a server sends it."""
    texts = [str(lenient_object(one).get("text") or "") for one in as_list(item.get("summary"))]
    if not texts:
        texts = [str(lenient_object(one).get("text") or "") for one in as_list(item.get("content"))]
    return "\n\n".join(filter(None, texts)) or str(item.get("summary_text") or "")


def _call(item: dict[str, Any], kind: str) -> ToolCall:
    field = _CALLS[kind]
    private = {name: value for name, value in item.items() if name not in {field, "name", "call_id"}}
    identifier = item.get("call_id") or item.get("id") or ""
    return ToolCall(
        str(identifier), str(item.get("name") or ""), raw=str(item.get(field) or ""), opaque=private
    )


def _output_items(parts: Iterable[Part], *, stored: bool) -> Iterator[dict[str, Any]]:
    """Yield the items of an answer; texts of one message are put together again."""
    writers: Writers = {
        Text: _message,
        Reasoning: _known_reasoning if stored else _encrypted_reasoning,
        ToolCall: _written_call,
        Media: _made_image,
        Other: _other,
    }
    last: dict[str, Any] = {}
    for item in each_written(parts, writers):
        if item.get("id") and item["id"] == last.get("id"):
            last["content"] += item["content"]
            continue
        if last:
            yield last
        last = item
    if last:
        yield last


def _message(text: Text) -> dict[str, Any] | None:
    """Return the message of a text; one that this API did not write is put simply."""
    if not (text.text.strip() or text.opaque):
        return None
    private = dict(text.opaque or {})
    if private.get("type") != "message":
        return {"role": "assistant", "content": text.text}
    refused = private.pop("refused", False)
    block = (
        {"type": "refusal", "refusal": text.text}
        if refused
        else {
            "type": "output_text",
            "text": text.text,
            # The API requires the field, even if it is empty.
            "annotations": [],
        }
    )
    return {"role": "assistant", "status": "completed", **private, "content": [block]}


def _known_reasoning(part: Reasoning) -> dict[str, Any] | None:
    private = dict(part.opaque or {})
    # The API requires a summary, even an empty one.
    return {"summary": [], **private} if private.get("type") == "reasoning" else None


def _encrypted_reasoning(part: Reasoning) -> dict[str, Any] | None:
    """Return reasoning for a server that keeps nothing: without its encrypted form it cannot be used."""
    return _known_reasoning(part) if (part.opaque or {}).get("encrypted_content") else None


def _made_image(part: Media) -> dict[str, Any] | None:
    made_here = (part.opaque or {}).get("type") == "image_generation_call"
    return {**(part.opaque or {}), "result": part.attachment.base64} if made_here else None


def _other(part: Other) -> dict[str, Any] | None:
    return dict(part.data) if isinstance(part.data.get("type"), str) else None


def _written_call(call: ToolCall) -> dict[str, Any]:
    private = call.opaque or {}
    kept = private if private.get("type") in _CALLS else {"type": "function_call"}
    custom = kept["type"] == "custom_tool_call"
    written = {"input": call.raw} if custom else {"arguments": arguments_text(call) or "{}"}
    return {**kept, "call_id": call.id, "name": call.name, **written}


def _result(result: ToolResult, *, custom: bool) -> dict[str, Any]:
    files = [_file(one) for one in result.attachments]
    text = [{"type": "input_text", "text": result.content}] if result.content else []
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": result.call_id, "output": [*text, *files] if files else result.content}


def _content(message: LLMMessage) -> str | list[dict[str, Any]]:
    files = [_file(one) for one in media(message)]
    said = written(message)
    return [*files, *([{"type": "input_text", "text": said}] if said else [])] if files else said


def _file(one: Attachment) -> dict[str, Any]:
    url = one.url or f"data:{one.media_type};base64,{one.base64}"
    if one.kind == "image":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    if one.url:
        return {"type": "input_file", "file_url": one.url}
    return {"type": "input_file", "filename": one.name or "document.pdf", "file_data": url}
