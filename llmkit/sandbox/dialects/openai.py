"""OpenAI's Chat Completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

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
from llmkit.sandbox.dialects.formats import openai_problem
from llmkit.sandbox.dialects.parts import from_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.content.attachments import Attachment
    from llmkit.sandbox.conversation import Answer, Role, Tokens
    from llmkit.sandbox.dialects.dialect import Call, ProtocolName

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "assistant",
    "function": "assistant",
}
_PARTS = ("text", "image_url", "input_audio", "refusal", "file")
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_FINISH = {"stop": "stop", "length": "length", "stop_sequence": "stop"}


def _missing(name: str) -> RefusedError:
    message = f"Missing required parameter: '{name}'."
    return RefusedError(400, message, code="missing_required_parameter", param=name)


def _turn(place: int, message: Any) -> Turn:
    where = f"messages[{place}]"
    if not isinstance(message, dict):
        raise RefusedError(
            400, f"Invalid type for '{where}': expected an object.", code="invalid_type", param=where
        )
    role = message.get("role")
    if role not in _ROLES:
        supported = ", ".join(f"'{known}'" for known in _ROLES)
        text = f"Invalid value: '{role}'. Supported values are: {supported}."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.role")
    content = message.get("content")
    return Turn(_ROLES[role], text_of(content, f"{where}.content"), _media(content, where, role))


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
        raise _missing(f"{where}.filename")
    return from_url(file.get("file_data"), f"{where}.file_data", name=file["filename"], taken=(PDF,))


def _turns(messages: Any) -> tuple[Turn, ...]:
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list) or not messages:
        text = "Invalid 'messages': expected an array with minimum length 1."
        raise RefusedError(400, text, code="empty_array", param="messages")
    return tuple(_turn(place, message) for place, message in enumerate(messages))


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _finish(answer: Answer) -> str:
    return answer.finish_word or _FINISH[answer.finish]


def _check_format(wanted: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Refuse a format that the API would refuse."""
    kind, where = wanted.get("type"), "response_format"
    if wanted and kind not in {"text", "json_object", "json_schema"}:
        text = f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.type")
    if kind == "json_object" and "json" not in str(body.get("messages")).lower():
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type"
        raise RefusedError(400, f"{text} 'json_object'.", param="messages")
    if kind == "json_schema":
        _check_schema(wanted.get("json_schema"), where)


def _check_schema(described: Any, where: str) -> None:
    """Refuse a schema that the API would refuse."""
    if not isinstance(described, dict) or not described.get("name"):
        raise _missing(f"{where}.json_schema.name")
    if problem := openai_problem(described.get("schema"), strict=bool(described.get("strict"))):
        text = f"Invalid schema for {where} '{described['name']}': {problem}"
        raise RefusedError(400, text, param=where)


class OpenAIDialect(Dialect):
    """Requests and answers of `POST /chat/completions` and `GET /models`."""

    name: ClassVar[ProtocolName] = "openai"
    request_id_header = "x-request-id"
    routes = (
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
            raise _missing("model")
        limits = [whole_number(body.get(name), name) for name in ("max_completion_tokens", "max_tokens")]
        wanted = body.get("response_format") or {}
        _check_format(wanted, body)
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
        )

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """See `Dialect.body`."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text,
            "refusal": None,
            "annotations": [],
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        usage = {"usage": _usage(answer.tokens)} if answer.tokens else {}
        return {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion",
            "created": answer.created,
            "model": ask.model,
            "choices": [choice],
            **usage,
            "service_tier": "default",
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
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
            **({"usage": None} if counted else {}),
        }

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _sse({**base, "choices": [choice]})

        yield Frame(chunk({"role": "assistant", "content": "", "refusal": None}), "open")
        for piece in answer.pieces:
            yield Frame(chunk({"content": piece}), "text")
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
            kind = "insufficient_quota" if code == "insufficient_quota" else "requests"
        error = {"message": refused.message, "type": kind, "param": refused.param, "code": code}
        return {"error": error}

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
