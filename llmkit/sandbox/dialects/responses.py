"""OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from llmkit.content.media import openai_image
from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.dialects.dialect import Frame, RefusedError, Route, Spare, whole_number
from llmkit.sandbox.dialects.functions import effort, function, unique
from llmkit.sandbox.dialects.openai import OpenAIDialect
from llmkit.sandbox.dialects.openai_fields import check_format, choice, missing, service_tier
from llmkit.sandbox.dialects.responses_input import turns
from llmkit.sandbox.dialects.responses_output import events, items, ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.sandbox.conversation import Answer, Function, Tokens
    from llmkit.sandbox.dialects.dialect import Call
    from llmkit.sandbox.dialects.responses_output import Event

_MOVED = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
}
_HOSTED = (
    *("web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp"),
    *("computer", "computer_use_preview", "local_shell", "shell", "apply_patch", "custom", "namespace"),
)


class ResponsesDialect(OpenAIDialect):
    """Requests and answers of `POST /responses` and its token counter; nothing is stored."""

    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/responses", "generate"),
        Route("POST", "/responses/input_tokens", "count"),
    )

    def read(self, call: Call) -> Ask:
        """See `Dialect.read`."""
        body = call.body
        _check(call)
        functions, hosted = _tools(body.get("tools"))
        wanted = (body.get("text") or {}).get("format") or {}
        form = {"type": wanted.get("type"), "json_schema": wanted}
        check_format(form if wanted else {}, body.get("input"), "text.format")
        reasoning = body.get("reasoning") or {}
        thinks = effort(call.model, reasoning.get("effort", "medium") if reasoning else None)
        return Ask(
            model=call.model,
            turns=_turns(body),
            stream=bool(body.get("stream")),
            max_tokens=whole_number(body.get("max_output_tokens"), "max_output_tokens"),
            wants_json=str(wanted.get("type", "")).startswith("json"),
            schema=wanted.get("schema"),
            image_tokens=openai_image,
            functions=functions,
            choice=choice(body.get("tool_choice"), functions, offered=bool(hosted)),
            parallel=body.get("parallel_tool_calls") is not False,
            searches=any(kind.startswith("web_search") for kind in hosted),
            draws="image_generation" in hosted,
            effort=thinks,
            shows_thoughts=bool(reasoning.get("summary") or effort(call.model, None)),
            echo=_echo(body),
        )

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """See `Dialect.body`."""
        finished = [ready(item) for item in items(answer, shows_thoughts=ask.shows_thoughts)]
        return _response(ask, answer, output=finished, **_ending(answer))

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """See `Dialect.frames`."""
        for number, (kind, event) in enumerate(self._events(ask, answer)):
            yield Frame(_sse({**event, "sequence_number": number}), kind)

    def _events(self, ask: Ask, answer: Answer) -> Iterator[Event]:
        begun = _response(ask, answer, status="in_progress")
        yield "open", {"type": "response.created", "response": begun}
        yield "open", {"type": "response.in_progress", "response": begun}
        whole = self.body(ask, answer)
        for index, item in enumerate(items(answer, shows_thoughts=ask.shows_thoughts)):
            for kind, event in events(item):
                yield kind, {"output_index": index, **event}
        yield "close", {"type": f"response.{whole['status']}", "response": whole}

    def spare(self, ask: Ask) -> Spare:
        """See `Dialect.spare`."""
        del ask
        refused = self.overloaded()
        error = {"type": "error", "code": "server_is_overloaded", "message": refused.message, "param": None}
        broken = (
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"\n\n'
        )
        return Spare(broken, _sse({**error, "sequence_number": 0}), b": keep-alive\n\n")

    def count(self, tokens: int) -> dict[str, Any]:
        """See `Dialect.count`."""
        return {"object": "response.input_tokens", "input_tokens": tokens}


def _check(call: Call) -> None:
    """Refuse what the API does not have, and what needs an answer that was stored."""
    if not call.model:
        raise missing("model")
    for old, new in _MOVED.items():
        if old in call.body:
            text = (
                f"Unsupported parameter: '{old}'. In the Responses API, this parameter has moved to '{new}'."
            )
            raise RefusedError(400, text, code="unsupported_parameter", param=old)
    if call.body.get("background"):
        raise RefusedError(400, "The sandbox does not answer in the background.", param="background")
    if known := call.body.get("previous_response_id"):
        text = f"Previous response with id '{known}' not found."
        raise RefusedError(400, text, code="previous_response_not_found", param="previous_response_id")


def _turns(body: dict[str, Any]) -> tuple[Turn, ...]:
    if body.get("input") is None:
        raise missing("input")
    instructions = body.get("instructions")
    first = (Turn("system", instructions),) if isinstance(instructions, str) else ()
    return (*first, *turns(body["input"]))


def _tools(tools: Any) -> tuple[tuple[Function, ...], list[str]]:
    """Return the functions, and the types of the provider's own tools."""
    found, hosted = [], []
    for place, tool in enumerate(tools or ()):
        kind = str(tool.get("type") if isinstance(tool, dict) else None)
        if kind == "function":
            found.append(function(tool, f"tools[{place}]"))
        elif kind.startswith(_HOSTED):
            hosted.append(kind)
        else:
            known = ", ".join(f"'{name}'" for name in ("function", *_HOSTED))
            text = f"Invalid value: '{kind}'. Supported values are: {known}."
            raise RefusedError(400, text, code="invalid_value", param=f"tools[{place}].type")
    return unique(found), hosted


def _complete(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as the server repeats it: with the model that makes the images."""
    return {"model": "sandbox-image", **tool} if tool.get("type") == "image_generation" else tool


def _echo(body: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a response repeats."""
    reasoning = body.get("reasoning") or {}
    return {
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        **service_tier(body.get("service_tier")),
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": list(map(_complete, body.get("tools") or [])),
        "top_p": body.get("top_p", 1.0),
    }


def _response(ask: Ask, answer: Answer, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        "previous_response_id": None,
        "truncation": "disabled",
        "usage": None,
        **ask.echo,
        **changes,
    }


def _ending(answer: Answer) -> dict[str, Any]:
    """Return the status of a response, its token counts, and the use of hosted tools."""
    reason = "max_output_tokens" if answer.finish == "length" else None
    if answer.finish_word not in {None, "stop", "completed"}:
        reason = answer.finish_word
    details = {"reason": reason} if reason else None
    fields = {"status": "incomplete" if reason else "completed", "incomplete_details": details}
    if answer.tokens is None:
        return fields
    return {**fields, "usage": _usage(answer.tokens), "tool_usage": _tool_usage(answer, answer.tokens)}


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _tool_usage(answer: Answer, tokens: Tokens) -> dict[str, Any]:
    """Return the use of the server's own tools, which has its own prices."""
    read = tokens.input if answer.image else 0
    return {
        "image_gen": {
            "input_tokens": read,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": read},
            "output_tokens": tokens.image,
            "output_tokens_details": {"image_tokens": tokens.image, "text_tokens": 0},
            "total_tokens": read + tokens.image,
        },
        "web_search": {"num_requests": 1 if answer.sources else 0},
    }


def _sse(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"
