"""Parts in the Gemini format: reading them from answers, writing them into contents.

Source: Gemini API reference, "Content" and "Part"; guides "Function calling", "Thought signatures" and
"Grounding". A signature must come back on the very part that had it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.content.links import ANY_IMAGE
from llmkit.content.messages import parts_of
from llmkit.content.parts import (
    INVENTED,
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
    invented_id,
    json_text,
    text_of,
)
from llmkit.providers.attachment_limits import media, written
from llmkit.providers.json_fields import as_list, lenient_object
from llmkit.providers.media_parts import made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMMessage

SIGNATURE = "thoughtSignature"


def read_part(raw: dict[str, Any]) -> Iterable[Part]:
    """Return our parts for one part of an answer, or for a field of the candidate."""
    if raw.get("thought"):
        return (Reasoning(str(raw.get("text") or ""), _signature(raw)),)
    if "functionCall" in raw:
        return (_call(raw),)
    if isinstance(data := raw.get("inlineData"), dict):
        file = made(str(data.get("mimeType") or ""), data.get("data"))
        return (Other("inlineData", raw) if file is None else Media(file, _signature(raw)),)
    if "groundingMetadata" in raw:
        return (*_grounded(lenient_object(raw["groundingMetadata"])), Other("groundingMetadata", raw))
    if isinstance(found := lenient_object(raw.get("citationMetadata")).get("citationSources"), list):
        return (*map(_cited, filter(None, map(lenient_object, found))), Other("citationMetadata", raw))
    return (Other(next((name for name in raw if name != SIGNATURE), "unknown"), raw),)


def contents(message: LLMMessage) -> list[dict[str, Any]]:
    """Return a message's parts, with images and PDFs first."""
    if not message.parts:
        return [*map(_data, media(message)), {"text": written(message)}]
    if message.role == "assistant":
        return list(each_written(parts_of(message), _WRITERS))
    results = [each for part in message.parts if isinstance(part, ToolResult) for each in _result(part)]
    said = written(message)
    return [*results, *map(_data, media(message)), *([{"text": said}] if said else [])]


def identified(raw: dict[str, Any], place: int) -> dict[str, Any]:
    """Return a call with an identifier; Gemini gives most calls none, and two may be equal."""
    call = raw["functionCall"]
    if not isinstance(call, dict) or call.get("id"):
        return raw
    name, text = str(call.get("name") or ""), json_text(call.get("args") or {})
    return {**raw, "functionCall": {**call, "id": invented_id(name, text, place)}}


def unidentified(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a part without the identifier that `identified` gave it."""
    call = lenient_object(raw.get("functionCall"))
    if not str(call.get("id") or "").startswith(INVENTED):
        return raw
    return {**raw, "functionCall": {name: value for name, value in call.items() if name != "id"}}


def _call(raw: dict[str, Any]) -> ToolCall:
    call = lenient_object(identified(raw, 0)["functionCall"])
    arguments = call.get("args")
    given = arguments if isinstance(arguments, dict) else {} if arguments is None else None
    return ToolCall(
        str(call.get("id") or INVENTED),
        str(call.get("name") or ""),
        given,
        json_text(arguments or {}),
        _signature(raw),
    )


def _signature(raw: dict[str, Any]) -> dict[str, Any] | None:
    return {SIGNATURE: raw[SIGNATURE]} if SIGNATURE in raw else None


def _grounded(data: dict[str, Any]) -> Iterator[Citation]:
    """Yield the sources of a search, with the bytes of the text that they support."""
    sources = [_source(lenient_object(chunk)) for chunk in as_list(data.get("groundingChunks"))]
    unused = set(range(len(sources)))
    for support in map(lenient_object, as_list(data.get("groundingSupports"))):
        segment = lenient_object(support.get("segment"))
        # Google's JSON omits a start of 0.
        start, end = segment.get("startIndex", 0), segment.get("endIndex")
        for index in as_list(support.get("groundingChunkIndices")):
            if isinstance(index, int) and 0 <= index < len(sources) and isinstance(end, int):
                unused.discard(index)
                yield replace(sources[index], start=start if isinstance(start, int) else 0, end=end)
    yield from (sources[index] for index in sorted(unused))


def _source(chunk: dict[str, Any]) -> Citation:
    kind = next((name for name in ("web", "retrievedContext", "maps") if name in chunk), "")
    return _cited(lenient_object(chunk.get(kind)))


def in_characters(parts: list[Part]) -> Iterator[Part]:
    """Yield the parts of an answer, with the places of its sources in characters: Gemini counts bytes."""
    text = text_of(parts).encode(errors="surrogatepass")
    for part in parts:
        if isinstance(part, Citation) and part.end is not None:
            start, end = (_characters(text, place) for place in (part.start or 0, part.end))
            yield replace(part, start=start, end=end)
        else:
            yield part


def _characters(text: bytes, place: int) -> int:
    # A place inside a character must not fail the answer.
    return len(text[:place].decode(errors="ignore"))


def _cited(source: dict[str, Any]) -> Citation:
    url = source.get("uri")
    return Citation(str(source.get("title") or url or "Source"), url if isinstance(url, str) else None)


def _text(part: Text) -> dict[str, Any] | None:
    return {"text": part.text, **(part.opaque or {})} if part.text or part.opaque else None


def _written_call(part: ToolCall) -> dict[str, Any]:
    # Gemini gives identifiers to some calls only, and does not know ours.
    named = {} if part.id.startswith(INVENTED) else {"id": part.id}
    call = {**named, "name": part.name, "args": dict(part.arguments or {})}
    return {"functionCall": call, **(part.opaque or {})}


def _image(part: Media) -> dict[str, Any] | None:
    return {**_data(part.attachment), **(part.opaque or {})} if part.attachment.kind == "image" else None


def _other(part: Other) -> dict[str, Any] | None:
    return dict(part.data) if part.kind in _RETURNED else None


_RETURNED = frozenset({"executableCode", "codeExecutionResult", "toolCall", "toolResponse", "inlineData"})
"""Parts of a model's turn besides text and calls; other fields describe a candidate."""


_WRITERS: Writers = {Text: _text, ToolCall: _written_call, Media: _image, Other: _other}
"""Writes the parts of a model's turn; its thoughts are not sent back."""


def _result(result: ToolResult) -> Iterator[dict[str, Any]]:
    named = {} if result.call_id.startswith(INVENTED) else {"id": result.call_id}
    # The names that Google documents for a failure and for a result.
    response = {"error" if result.is_error else "output": result.content}
    yield {"functionResponse": {**named, "name": result.name, "response": response}, **(result.opaque or {})}
    yield from map(_data, result.attachments)


def _data(one: Attachment) -> dict[str, Any]:
    if one.url:
        kind = {} if one.media_type == ANY_IMAGE else {"mimeType": one.media_type}
        return {"fileData": {**kind, "fileUri": one.url}}
    return {"inlineData": {"mimeType": one.media_type, "data": one.base64}}
