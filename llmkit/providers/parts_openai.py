"""Parts in the Chat Completions format: reading them from answers, writing them into messages.

Source: OpenAI API reference, "Create chat completion"; for reasoning, the documentation of DeepSeek
(`reasoning_content`), OpenRouter (`reasoning_details`), LiteLLM (`thinking_blocks`) and Mistral (blocks).
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
    ToolCall,
    ToolResult,
    each_written,
    invented_id,
    json_text,
    text_of,
)
from llmkit.providers.attachment_limits import media, written
from llmkit.providers.codec import kind_of
from llmkit.providers.json_fields import lenient_object
from llmkit.providers.media_parts import from_data_url, made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMMessage

_REASONING_TEXTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Fields with reasoning as a string."""

_REASONING_LISTS = ("reasoning_details", "thinking_blocks")
"""Fields with reasoning as items, which have signatures."""


def read_part(raw: dict[str, Any]) -> Iterable[Part]:
    """Return our parts for one of an answer."""
    if "function" in raw or "custom" in raw or "function_call" in raw:
        return (_call(raw),)
    kind = str(raw.get("type"))
    return _media(raw, kind) or _sources(raw, kind) or _reasoning(raw, kind) or (Other(kind_of(raw), raw),)


def without_doubles(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts of an answer, with the text of reasoning once where a server sends it twice."""
    whole = list(parts)
    plain = "".join(part.text for part in whole if isinstance(part, Reasoning) and not _has_items(part))
    for part in whole:
        if isinstance(part, Reasoning) and _has_items(part) and part.text.strip() and part.text in plain:
            yield replace(part, text="")
        else:
            yield part


def messages(message: LLMMessage) -> list[dict[str, Any]]:
    """Return one of our messages as those of the wire: each result of a tool is a message there."""
    if not message.parts:
        return [{"role": message.role, "content": _content(message)}]
    if message.role == "assistant":
        return [_assistant(message)]
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    # A tool's message can hold only text, so its files follow in a user's message.
    shown = [one for result in results for one in result.attachments]
    content = _content(message, shown)
    return [*map(_result, results), *([{"role": message.role, "content": content}] if content else [])]


def _call(raw: dict[str, Any]) -> ToolCall:
    kind = next(name for name in ("function", "custom", "function_call") if name in raw)
    call = lenient_object(raw[kind])
    name, written = str(call.get("name") or ""), call.get("arguments", call.get("input", ""))
    text = written if isinstance(written, str) else json_text(written)  # Ollama sends an object
    given = raw.get("id")
    number = raw.get("index")
    identifier = str(given) if given else invented_id(name, text, number if isinstance(number, int) else 0)
    opaque = {name: value for name, value in raw.items() if name not in {"index", "id", "type", kind}}
    if kind == "custom":
        opaque["type"] = "custom"
    return ToolCall(identifier, name, raw=text, opaque=opaque or None)


def _sources(raw: dict[str, Any], kind: str) -> tuple[Part, ...]:
    """Return the sources of a citation, or of Perplexity's list of addresses."""
    if kind in {"url_citation", "file_citation"}:
        return (citation(lenient_object(raw.get(kind))),)
    urls = raw.get("citations")
    return tuple(Citation(url, url) for url in urls if isinstance(url, str)) if isinstance(urls, list) else ()


def _media(raw: dict[str, Any], kind: str) -> tuple[Part, ...]:
    """Return an image or a sound; an image at an address is not loaded."""
    if kind == "image_url":
        image = from_data_url(lenient_object(raw.get("image_url")).get("url"))
        return () if image is None else (Media(image),)
    if "audio" not in raw:
        return ()
    audio = lenient_object(raw["audio"])
    sound = made("audio/wav", audio.get("data"))
    opaque = {"audio": {"id": audio["id"]}} if audio.get("id") else None
    return () if sound is None else (Media(sound, opaque),)


def citation(source: dict[str, Any]) -> Citation:
    """Return the source that an annotation describes."""
    url, title = source.get("url"), source.get("title") or source.get("filename") or source.get("name")
    start, end = source.get("start_index"), source.get("end_index")
    quote = source.get("content")
    return Citation(
        str(title or url or "Source"),
        url if isinstance(url, str) else None,
        quote if isinstance(quote, str) else None,
        start if isinstance(start, int) else None,
        end if isinstance(end, int) else None,
    )


def _reasoning(raw: dict[str, Any], kind: str) -> tuple[Part, ...]:
    if kind == "thinking" and isinstance(raw.get("thinking"), list):  # Mistral's block
        return (Reasoning("".join(str(lenient_object(one).get("text", "")) for one in raw["thinking"])),)
    if kind in {"thinking", "redacted_thinking"}:
        return (Reasoning(str(raw.get("thinking") or ""), {"thinking_blocks": [raw]}),)
    if kind.startswith("reasoning"):
        return (Reasoning(_plain(raw.get("text") or raw.get("summary")), {"reasoning_details": [raw]}),)
    named = ((name, raw[name]) for name in _REASONING_TEXTS if isinstance(raw.get(name), str))
    return tuple(Reasoning(text, {name: text}) for name, text in named)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _has_items(part: Reasoning) -> bool:
    return part.opaque is not None and any(name in part.opaque for name in _REASONING_LISTS)


def _assistant(message: LLMMessage) -> dict[str, Any]:
    """Return an assistant's message with its calls, and the reasoning that the server needs back."""
    parts = parts_of(message)
    calls = list(each_written(parts, {ToolCall: _written_call}))
    private = [dict(part.opaque) for part in parts if part.opaque and isinstance(part, Reasoning | Media)]
    # OpenAI accepts `null` only beside calls.
    whole: dict[str, Any] = {"role": "assistant", "content": text_of(parts) or (None if calls else "")}
    _add_reasoning(whole, private, alone=not calls)
    for each in private:
        _add(whole, "audio", each.get("audio"))
    _add(whole, "tool_calls", calls)
    return whole


def _add_reasoning(whole: dict[str, Any], private: list[dict[str, Any]], *, alone: bool) -> None:
    """Add reasoning: signed items always, plain text within a loop of tools; else a server may refuse it."""
    for name in _REASONING_LISTS:
        _add(whole, name, [one for each in private for one in each.get(name, ())])
    for name in () if alone else _REASONING_TEXTS:
        _add(whole, name, "".join(str(each.get(name) or "") for each in private))


def _add(whole: dict[str, Any], name: str, value: Any) -> None:
    if value:
        whole[name] = value


def _written_call(call: ToolCall) -> dict[str, Any]:
    if (call.opaque or {}).get("type") == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.raw}}
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function, **(call.opaque or {})}


def arguments_text(call: ToolCall) -> str:
    """Return a call's arguments as JSON text; those that the model wrote wrongly go back as they came."""
    if call.arguments is None:
        return call.raw
    return json_text(call.arguments)


def _result(result: ToolResult) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": result.call_id, "content": result.content}


def _content(message: LLMMessage, shown: Iterable[Attachment] = ()) -> str | list[dict[str, Any]]:
    """Return a message's content: a string, or parts if it has images or PDFs."""
    parts = [_file(one) for one in (*shown, *media(message))]
    said = written(message)
    return [*parts, *([{"type": "text", "text": said}] if said else [])] if parts else said


def _file(one: Attachment) -> dict[str, Any]:
    url = one.url or f"data:{one.media_type};base64,{one.base64}"
    if one.kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": one.name or "document.pdf", "file_data": url}}
