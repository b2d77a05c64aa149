"""Output items of OpenAI's Responses, whole and as the events of a stream."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

from llmkit.sandbox.answers.thoughts import seal
from llmkit.sandbox.pieces import split
from llmkit.sandbox.reply import thought_mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.sandbox.conversation import Answer, Invocation

Event = tuple[Literal["open", "text", "close"], dict[str, Any]]
"""A kind of frame, and an event without its place in the output."""


def items(answer: Answer, *, shows_thoughts: bool) -> Iterator[dict[str, Any]]:
    """Yield the items of an answer; a message has its tokens under `pieces`."""
    if answer.thoughts:
        yield _reasoning(answer, shows_thoughts=shows_thoughts)
    if answer.sources:
        query = answer.sources[0].title.partition(":")[0]
        action = {"type": "search", "query": query, "queries": [query]}
        yield {"id": f"ws_{answer.id}", "type": "web_search_call", "status": "completed", "action": action}
    if answer.image:
        data = base64.b64encode(answer.image).decode()
        yield {
            "id": f"ig_{answer.id}",
            "type": "image_generation_call",
            "status": "completed",
            "result": data,
        }
    if answer.pieces:
        yield _message(answer)
    for call in answer.calls:
        yield _call(call)


def ready(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it is sent."""
    return {name: value for name, value in item.items() if name != "pieces"}


def _reasoning(answer: Answer, *, shows_thoughts: bool) -> dict[str, Any]:
    # Calls name the reasoning before them by its mark.
    name = f"rs_{thought_mark(answer.thought)}{answer.id}"
    summary = [{"type": "summary_text", "text": answer.thought}] if shows_thoughts else []
    return {"id": name, "type": "reasoning", "summary": summary, "encrypted_content": seal(name)}


def _message(answer: Answer) -> dict[str, Any]:
    annotations = [
        {
            "type": "url_citation",
            "url": one.url,
            "title": one.title,
            "start_index": one.start,
            "end_index": one.end,
        }
        for one in answer.sources
    ]
    block = {"type": "output_text", "text": answer.text, "annotations": annotations, "logprobs": []}
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "status": "incomplete" if answer.finish == "length" else "completed",
        "role": "assistant",
        "content": [block],
        "pieces": answer.pieces,
    }


def _call(call: Invocation) -> dict[str, Any]:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{call.id}",
        "name": call.name,
        "arguments": call.raw,
    }


_EMPTY: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
    "web_search_call": {"status": "in_progress"},
    "image_generation_call": {"result": None, "status": "in_progress"},
}
"""The fields of an item that begins."""


def events(item: dict[str, Any]) -> Iterator[Event]:
    """Yield the events of an item from its beginning to its end."""
    kind = item["type"]
    begun = {**ready(item), **_EMPTY[kind]}
    yield "open", {"type": "response.output_item.added", "item": begun}
    yield from _BETWEEN[kind](item)
    yield "open", {"type": "response.output_item.done", "item": ready(item)}


def _of_reasoning(item: dict[str, Any]) -> Iterator[Event]:
    for index, part in enumerate(item["summary"]):
        place = {"item_id": item["id"], "summary_index": index}
        head = "response.reasoning_summary"
        yield "open", {"type": f"{head}_part.added", **place, "part": {**part, "text": ""}}
        for piece in split(part["text"]):
            yield "text", {"type": f"{head}_text.delta", **place, "delta": piece}
        yield "open", {"type": f"{head}_text.done", **place, "text": part["text"]}
        yield "open", {"type": f"{head}_part.done", **place, "part": part}


def _of_message(item: dict[str, Any]) -> Iterator[Event]:
    block = item["content"][0]
    place = {"item_id": item["id"], "content_index": 0}
    empty = {**block, "text": "", "annotations": []}
    yield "open", {"type": "response.content_part.added", **place, "part": empty}
    for piece in item["pieces"]:
        yield "text", {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    for index, one in enumerate(block["annotations"]):
        added = {"annotation_index": index, "annotation": one}
        yield "open", {"type": "response.output_text.annotation.added", **place, **added}
    yield "open", {"type": "response.output_text.done", **place, "text": block["text"], "logprobs": []}
    yield "open", {"type": "response.content_part.done", **place, "part": block}


def _of_call(item: dict[str, Any]) -> Iterator[Event]:
    head = "response.function_call_arguments"
    for piece in split(item["arguments"]):
        yield "text", {"type": f"{head}.delta", "item_id": item["id"], "delta": piece}
    done = {"item_id": item["id"], "name": item["name"], "arguments": item["arguments"]}
    yield "open", {"type": f"{head}.done", **done}


def _of_search(item: dict[str, Any]) -> Iterator[Event]:
    for step in ("in_progress", "searching", "completed"):
        yield "open", {"type": f"response.web_search_call.{step}", "item_id": item["id"]}


def _of_image(item: dict[str, Any]) -> Iterator[Event]:
    for step in ("in_progress", "generating", "completed"):
        yield "open", {"type": f"response.image_generation_call.{step}", "item_id": item["id"]}


_BETWEEN = {
    "reasoning": _of_reasoning,
    "message": _of_message,
    "function_call": _of_call,
    "web_search_call": _of_search,
    "image_generation_call": _of_image,
}
