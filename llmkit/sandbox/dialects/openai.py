"""OpenAI's Chat Completions: https://platform.openai.com/docs/api-reference/chat.

Reasoning is sent as `reasoning_content`, as DeepSeek and others do, and images as OpenRouter sends them:
OpenAI's own Chat Completions has neither.
"""

from __future__ import annotations

import base64
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from llmkit.content.attachments import IMAGES, PDF
from llmkit.content.media import openai_image
from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.dialects.dialect import (
    MODELS,
    Dialect,
    Frame,
    RefusedError,
    Route,
    Spare,
    text_of,
    texts,
    whole_number,
)
from llmkit.sandbox.dialects.functions import effort, invocation, outcome, stray, unanswered
from llmkit.sandbox.dialects.openai_fields import (
    ROLES,
    check_format,
    choice,
    functions,
    missing,
    service_tier,
)
from llmkit.sandbox.dialects.parts import from_url
from llmkit.sandbox.dialects.rate_headers import openai_headers, openai_limited
from llmkit.sandbox.pieces import split
from llmkit.sandbox.reply import thought_mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.content.attachments import Attachment
    from llmkit.sandbox.conversation import Answer, Invocation, Source, Tokens
    from llmkit.sandbox.dialects.dialect import Call, ProtocolName
    from llmkit.sandbox.rate_limits import Breach, Level

_PARTS = ("text", "image_url", "input_audio", "refusal", "file")
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_FINISH = {"stop": "stop", "length": "length", "stop_sequence": "stop", "tool_calls": "tool_calls"}


def _turn(place: int, message: Any) -> Turn:
    where = f"messages[{place}]"
    if not isinstance(message, dict):
        raise RefusedError(
            400, f"Invalid type for '{where}': expected an object.", code="invalid_type", param=where
        )
    role = message.get("role")
    if role not in ROLES:
        supported = ", ".join(f"'{known}'" for known in ROLES)
        text = f"Invalid value: '{role}'. Supported values are: {supported}."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.role")
    content = message.get("content")
    if role == "tool":
        return Turn("user", "", outcomes=(outcome(message.get("tool_call_id"), content),))
    calls = tuple(_call(one) for one in message.get("tool_calls") or ())
    _check_thought(message.get("reasoning_content"), calls, where)
    return Turn(ROLES[role], text_of(content, f"{where}.content"), _media(content, where, role), calls)


def _call(call: Any) -> Invocation:
    fields = call if isinstance(call, dict) else {}
    called = fields.get("function") or {}
    return invocation(fields.get("id"), called.get("name"), called.get("arguments"))


def _check_thought(thought: Any, calls: tuple[Invocation, ...], where: str) -> None:
    """Refuse calls without the reasoning before them, as DeepSeek does."""
    mark = thought_mark(thought) if isinstance(thought, str) else ""
    for call in calls:
        if call.id.startswith("call_t") and not (mark and call.id.startswith(f"call_{mark}")):
            text = f"Missing or changed `reasoning_content` field in the assistant message at '{where}'."
            raise RefusedError(400, text, param=where)


def _check_order(turns: tuple[Turn, ...]) -> None:
    """Refuse calls without results, and results without calls."""
    if stray(turns) is not None:
        text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise RefusedError(400, f"Invalid parameter: {text}", param="messages")
    if open_ := unanswered(turns):
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
        ids = ", ".join(open_[1])
        message = f"{text} 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
        raise RefusedError(400, message, param=f"messages[{open_[0]}].tool_calls")


def _effort(body: Mapping[str, Any], model: str) -> str:
    reasoning = body.get("reasoning")
    asked = reasoning.get("effort", "medium") if isinstance(reasoning, dict) else body.get("reasoning_effort")
    return effort(model, asked)


def _media(content: Any, where: str, role: str) -> tuple[Attachment, ...]:
    """Return the images and files of a message's content."""
    parts = content if isinstance(content, list) else []
    found = [_part(part, f"{where}.content[{place}]") for place, part in enumerate(parts)]
    media = tuple(one for one in found if one is not None)
    if media and role != "user":
        text = (
            f"Invalid '{where}'. Image URLs are only allowed for messages with role 'user', but this message "
            f"with role '{role}' contains an image URL."
        )
        raise RefusedError(400, text, code="invalid_value", param=where)
    return media


def _part(part: Any, where: str) -> Attachment | None:
    """Read one part of a message; `None` for one of text."""
    kind = part.get("type") if isinstance(part, dict) else "text"
    if kind not in _PARTS:
        known = ", ".join(f"'{name}'" for name in _PARTS)
        text = f"Invalid value: '{kind}'. Supported values are: {known}."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.type")
    if kind == "image_url":
        return _image(part.get("image_url"), f"{where}.image_url")
    if kind == "file":
        return _file(part.get("file"), f"{where}.file")
    return None


def _image(image: Any, where: str) -> Attachment | None:
    if not isinstance(image, dict):
        raise RefusedError(400, f"Invalid type for '{where}': expected an object.", code="invalid_type")
    return from_url(image.get("url"), f"{where}.url", taken=IMAGES)


def _file(file: Any, where: str) -> Attachment | None:
    if not isinstance(file, dict) or not file.get("filename"):
        raise missing(f"{where}.filename")
    return from_url(file.get("file_data"), f"{where}.file_data", name=file["filename"], taken=(PDF,))


def _turns(messages: Any) -> tuple[Turn, ...]:
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list) or not messages:
        text = "Invalid 'messages': expected an array with minimum length 1."
        raise RefusedError(400, text, code="empty_array", param="messages")
    turns = tuple(_turn(place, message) for place, message in enumerate(messages))
    _check_order(turns)
    return turns


def _usage(tokens: Tokens) -> dict[str, Any]:
    output = tokens.output + tokens.image
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": output,
        "total_tokens": tokens.input + output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
            **({"image_tokens": tokens.image} if tokens.image else {}),
        },
    }


def _called(call: Invocation, raw: str) -> dict[str, Any]:
    return {"id": f"call_{call.id}", "type": "function", "function": {"name": call.name, "arguments": raw}}


def _annotation(source: Source) -> dict[str, Any]:
    cited = {"url": source.url, "title": source.title, "start_index": source.start, "end_index": source.end}
    return {"type": "url_citation", "url_citation": cited}


def _around(answer: Answer) -> dict[str, Any]:
    """Return what a message has after its text: sources and an image."""
    found: dict[str, Any] = {}
    if answer.sources:
        found["annotations"] = [_annotation(source) for source in answer.sources]
    if answer.image:
        url = f"data:image/png;base64,{base64.b64encode(answer.image).decode()}"
        found["images"] = [{"type": "image_url", "index": 0, "image_url": {"url": url}}]
    return found


def _call_deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield the calls as a stream sends them: the name, then the arguments piece by piece."""
    for index, call in enumerate(answer.calls):
        yield {"tool_calls": [{"index": index, **_called(call, "")}]}
        for piece in split(call.raw):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _finish(answer: Answer) -> str:
    return answer.finish_word or _FINISH[answer.finish]


class OpenAIDialect(Dialect):
    """Requests and answers of `POST /chat/completions` and `GET /models`."""

    name: ClassVar[ProtocolName] = "openai"
    request_id_header = "x-request-id"
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/chat/completions", "generate"),
        Route("GET", "/models", "models"),
        Route("GET", "/models/{model}", "model"),
    )

    def key(self, call: Call) -> str:
        """See `Dialect.key`."""
        return call.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def settings(self, call: Call) -> Mapping[str, Any]:
        """See `Dialect.settings`."""
        return call.body

    def read(self, call: Call) -> Ask:
        """See `Dialect.read`."""
        body = call.body
        if not call.model:
            raise missing("model")
        limits = [whole_number(body.get(name), name) for name in ("max_completion_tokens", "max_tokens")]
        wanted = body.get("response_format") or {}
        check_format(wanted, body.get("messages"))
        offered, searches = functions(body.get("tools"))
        return Ask(
            model=call.model,
            turns=_turns(body.get("messages")),
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            max_tokens=next(filter(None, limits), None),
            stop=texts(body.get("stop")),
            wants_json=str(wanted.get("type", "")).startswith("json"),
            schema=(wanted.get("json_schema") or {}).get("schema"),
            image_tokens=openai_image,
            functions=offered,
            choice=choice(body.get("tool_choice"), offered),
            parallel=body.get("parallel_tool_calls") is not False,
            searches=searches or body.get("web_search_options") is not None,
            draws="image" in (body.get("modalities") or ()),
            effort=_effort(body, call.model),
            echo=service_tier(body.get("service_tier")),
        )

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """See `Dialect.body`."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if answer.calls else answer.text,
            "refusal": None,
            "annotations": [],
            **_around(answer),
        }
        if answer.thoughts:
            message["reasoning_content"] = answer.thought
        if answer.calls:
            message["tool_calls"] = [_called(call, call.raw) for call in answer.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        usage = {"usage": _usage(answer.tokens)} if answer.tokens else {}
        return {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion",
            "created": answer.created,
            "model": ask.model,
            "choices": [choice],
            **usage,
            **ask.echo,
            "system_fingerprint": "fp_sandbox",
        }

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """See `Dialect.frames`."""
        # With include_usage every chunk but the last says "usage": null, as the provider's do.
        counted = ask.include_usage and answer.tokens is not None
        base = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": ask.model,
            **ask.echo,
            "system_fingerprint": "fp_sandbox",
            **({"usage": None} if counted else {}),
        }

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _sse({**base, "choices": [choice]})

        yield Frame(chunk({"role": "assistant", "content": "", "refusal": None}), "open")
        thoughts = ({"reasoning_content": piece} for piece in answer.thoughts)
        for delta in chain(thoughts, ({"content": piece} for piece in answer.pieces), _call_deltas(answer)):
            yield Frame(chunk(delta), "text")
        if around := _around(answer):
            yield Frame(chunk(around), "close")
        yield Frame(chunk({}, _finish(answer)), "close")
        if counted and answer.tokens:
            yield Frame(_sse({**base, "choices": [], "usage": _usage(answer.tokens)}), "close")
        yield Frame(b"data: [DONE]\n\n", "close")

    def spare(self, ask: Ask) -> Spare:
        """See `Dialect.spare`."""
        del ask
        broken = b'data: {"id":"chatcmpl-1","choices":[{"delta":{"content":"\n\n'
        return Spare(broken, _sse(self.error(self.overloaded())), b": keep-alive\n\n")

    def count(self, tokens: int) -> dict[str, Any]:
        """See `Dialect.count`; Chat Completions has no route for it."""
        return {"input_tokens": tokens}

    def model(self, name: str) -> dict[str, Any]:
        """See `Dialect.model`."""
        return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "llmkit"}

    def models(self) -> dict[str, Any]:
        """See `Dialect.models`."""
        return {"object": "list", "data": [self.model(name) for name in MODELS]}

    def error(self, refused: RefusedError) -> dict[str, Any]:
        """See `Dialect.error`."""
        code = refused.code or _CODES.get(refused.status)
        kind = "server_error" if refused.status >= 500 else "invalid_request_error"
        if refused.status == 429:
            kind = "insufficient_quota" if code == "insufficient_quota" else refused.kind or "requests"
        error = {"message": refused.message, "type": kind, "param": refused.param, "code": code}
        return {"error": error}

    def metered(self, ask: Ask) -> dict[str, int]:
        """See `Dialect.metered`; OpenAI counts the larger of the estimated prompt and `max_tokens`."""
        return {"requests": 1, "tokens": max(ask.input_tokens, ask.max_tokens or 0)}

    def limit_headers(self, levels: Mapping[str, Level]) -> dict[str, str]:
        """See `Dialect.limit_headers`."""
        return openai_headers(levels)

    def limited(self, model: str, breach: Breach) -> RefusedError:
        """See `Dialect.limited`."""
        return openai_limited(model, breach)

    def invalid_key(self) -> RefusedError:
        """See `Dialect.invalid_key`."""
        return RefusedError(401, "Incorrect API key provided: invalid. Use any other key with the sandbox.")

    def overloaded(self) -> RefusedError:
        """See `Dialect.overloaded`."""
        return RefusedError(503, "The server is currently overloaded. Please try again later.")

    def unknown_model(self, name: str) -> RefusedError:
        """See `Dialect.unknown_model`."""
        message = f"The model `{name}` does not exist or you do not have access to it."
        return RefusedError(404, message, code="model_not_found")

    def unsupported(self, parameter: str) -> RefusedError:
        """See `Dialect.unsupported`."""
        message = f"Unsupported parameter: '{parameter}' is not supported with this model."
        if parameter == "max_tokens":
            message += " Use 'max_completion_tokens' instead."
        return RefusedError(400, message, code="unsupported_parameter", param=parameter)
