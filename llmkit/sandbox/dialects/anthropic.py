"""Anthropic's Messages: https://docs.anthropic.com/en/api/messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from llmkit.content.attachments import IMAGES, PDF
from llmkit.content.media import anthropic_image
from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.dialects import anthropic_blocks
from llmkit.sandbox.dialects.dialect import (
    CONTEXT_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    Dialect,
    Frame,
    RefusedError,
    Route,
    Spare,
    text_of,
    texts,
    whole_number,
)
from llmkit.sandbox.dialects.formats import anthropic_problem
from llmkit.sandbox.dialects.parts import at_address, decoded
from llmkit.sandbox.dialects.rate_headers import anthropic_headers, anthropic_limited
from llmkit.sandbox.pieces import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.content.attachments import Attachment
    from llmkit.sandbox.conversation import Answer, Role
    from llmkit.sandbox.dialects.dialect import Call, ProtocolName
    from llmkit.sandbox.rate_limits import Breach, Level

# The Messages API takes `system` among the messages, too, for instructions in mid-conversation.
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_BLOCKS = (
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
)
"""Kinds of blocks; those of tools end in `_use`, `_result` or `_upload`."""

_IMAGE = 5 * 2**20
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
}


def _required(name: str) -> RefusedError:
    return RefusedError(400, f"{name}: Field required")


def _turn(place: int, message: Any) -> Turn:
    where = f"messages.{place}"
    if not isinstance(message, dict):
        raise RefusedError(400, f"{where}: Input should be a valid dictionary")
    if message.get("role") not in _ROLES:
        raise RefusedError(400, f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    if "content" not in message:
        raise _required(f"{where}.content")
    content, role = message["content"], message["role"]
    blocks = content if isinstance(content, list) else []
    calls, outcomes = anthropic_blocks.invocations(blocks), anthropic_blocks.outcomes(blocks)
    text = text_of(content, f"{where}.content")
    return Turn(_ROLES[role], text, _media(content, where, role), calls, outcomes)


def _media(content: Any, where: str, role: str) -> tuple[Attachment, ...]:
    """Return the images and documents of a message's content."""
    blocks = content if isinstance(content, list) else []
    found = [_block(block, f"{where}.content.{place}", role) for place, block in enumerate(blocks)]
    return tuple(one for one in found if one is not None)


def _block(block: Any, where: str, role: str) -> Attachment | None:
    """Read one block of a message; `None` if it is neither an image nor a document."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in _BLOCKS and not str(kind).endswith(("_use", "_result", "_upload")):
        known = ", ".join(f"'{name}'" for name in _BLOCKS)
        tag = f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
        raise RefusedError(400, f"{where}: {tag}: {known}")
    anthropic_blocks.check_signature(block, where)
    if kind not in {"image", "document"}:
        return None
    if role != "user":
        raise RefusedError(400, f"{where}: `{kind}` blocks are only allowed in `user` messages")
    return _source(block, f"{where}.{kind}.source")


def _source(block: dict[str, Any], where: str) -> Attachment | None:
    """Read an image or a document; `None` if it is not sent as bytes."""
    source, name = block.get("source"), block.get("title") or ""
    if not isinstance(source, dict):
        raise _required(where)
    taken = IMAGES if block["type"] == "image" else (PDF,)
    if source.get("type") == "url":
        return at_address(source.get("url"), f"{where}.url", name=name, taken=taken)
    if source.get("type") != "base64":
        return None  # a text, or a file that was uploaded
    data = source.get("data")
    if taken == IMAGES and len(str(data)) > _IMAGE:
        text = f"{where}.base64: image exceeds 5 MB maximum: {len(str(data))} bytes > {_IMAGE} bytes"
        raise RefusedError(400, text)
    return decoded(source.get("media_type"), data, f"{where}.base64", name=name, taken=taken)


def _turns(body: dict[str, Any]) -> tuple[Turn, ...]:
    messages = body.get("messages")
    if messages is None:
        raise _required("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, "messages: at least one message is required")
    system = text_of(body.get("system"), "system")
    first = (Turn("system", system),) if system else ()
    turns = [_turn(place, message) for place, message in enumerate(messages)]
    anthropic_blocks.check_order(turns)
    return (*first, *turns)


def _check_format(wanted: dict[str, Any]) -> None:
    """Refuse a format that the API would refuse."""
    if wanted.get("type") != "json_schema":
        raise RefusedError(400, "output_config.format.type: Input should be 'json_schema'")
    if problem := anthropic_problem(wanted.get("schema")):
        raise RefusedError(400, f"output_config.format.schema: {problem}")


def _usage(answer: Answer, *, output: int) -> dict[str, Any]:
    """Return the token counts; the input excludes tokens read from or written to a cache."""
    tokens = answer.tokens
    if tokens is None:
        return {}
    usage: dict[str, Any] = {
        "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": output,
    }
    details = {"output_tokens_details": {"thinking_tokens": tokens.reasoning}} if tokens.reasoning else {}
    return {"usage": usage | details | anthropic_blocks.usage(answer)}


def _blocks(ask: Ask, answer: Answer) -> list[dict[str, Any]]:
    """Return the blocks of an answer; a stream of none has an empty text."""
    found = list(anthropic_blocks.blocks(answer, shows_thoughts=ask.shows_thoughts))
    return found or [{"type": "text", "text": ""}]


def _output(answer: Answer) -> int:
    return answer.tokens.output if answer.tokens else 0


def _message(answer: Answer, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **changes,
    }


def _ending(answer: Answer) -> dict[str, Any]:
    reason = answer.finish_word or _STOP[answer.finish]
    return {"stop_reason": reason, "stop_sequence": answer.stop_sequence}


def _sse(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: ".encode() + orjson.dumps(value) + b"\n\n"


class AnthropicDialect(Dialect):
    """Requests and answers of `POST /v1/messages`, its token counter and `GET /v1/models`."""

    name: ClassVar[ProtocolName] = "anthropic"
    request_id_header = "request-id"
    routes = (
        Route("POST", "/v1/messages", "generate"),
        Route("POST", "/v1/messages/count_tokens", "count"),
        Route("GET", "/v1/models", "models"),
        Route("GET", "/v1/models/{model}", "model"),
    )

    def key(self, call: Call) -> str:
        """See `Dialect.key`."""
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
        return call.headers.get("x-api-key", bearer).strip()

    def settings(self, call: Call) -> Mapping[str, Any]:
        """See `Dialect.settings`."""
        return call.body

    def read(self, call: Call) -> Ask:
        """See `Dialect.read`."""
        body = call.body
        if "anthropic-version" not in call.headers:
            raise RefusedError(400, "anthropic-version: header is required")
        if not call.model:
            raise _required("model")
        if call.action == "generate" and body.get("max_tokens") is None:
            raise _required("max_tokens")
        wanted = (body.get("output_config") or {}).get("format") or {}
        if wanted:
            _check_format(wanted)
        functions, searches = anthropic_blocks.functions(body.get("tools"))
        choice = body.get("tool_choice")
        effort, shown = anthropic_blocks.thinking(body, call.model)
        return Ask(
            model=call.model,
            turns=_turns(body),
            stream=bool(body.get("stream")),
            max_tokens=whole_number(body.get("max_tokens"), "max_tokens"),
            stop=texts(body.get("stop_sequences")),
            wants_json=bool(wanted),
            schema=wanted.get("schema"),
            image_tokens=anthropic_image,
            functions=functions,
            choice=anthropic_blocks.choice(choice, functions),
            parallel=not (choice or {}).get("disable_parallel_tool_use"),
            searches=searches,
            effort=effort,
            shows_thoughts=shown,
        )

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """See `Dialect.body`."""
        content = _blocks(ask, answer) if answer.length else []
        usage = _usage(answer, output=_output(answer))
        return _message(answer, content=content, **_ending(answer), **usage)

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """See `Dialect.frames`."""
        # The first event carries the output so far, the last the cumulative total.
        message = _message(answer, **_usage(answer, output=min(1, _output(answer))))
        yield Frame(_sse({"type": "message_start", "message": message}), "open")
        blocks = _blocks(ask, answer)
        for index, block in enumerate(blocks):
            pieces = split(block.get("text", "")) if answer.sources else answer.pieces
            begin, deltas = anthropic_blocks.deltas(block, pieces)
            start = {"type": "content_block_start", "index": index, "content_block": begin}
            yield Frame(_sse(start), "open")
            if not index:
                yield Frame(_sse({"type": "ping"}), "open")
            for delta in deltas:
                yield Frame(_sse({"type": "content_block_delta", "index": index, "delta": delta}), "text")
            last = index == len(blocks) - 1
            yield Frame(_sse({"type": "content_block_stop", "index": index}), "close" if last else "open")
        usage = _usage(answer, output=_output(answer))
        yield Frame(_sse({"type": "message_delta", "delta": _ending(answer), **usage}), "close")
        yield Frame(_sse({"type": "message_stop"}), "close")

    def spare(self, ask: Ask) -> Spare:
        """See `Dialect.spare`."""
        del ask
        broken = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\n\n'
        return Spare(broken, _sse(self.error(self.overloaded())), _sse({"type": "ping"}))

    def count(self, tokens: int) -> dict[str, Any]:
        """See `Dialect.count`."""
        return {"input_tokens": tokens}

    def model(self, name: str) -> dict[str, Any]:
        """See `Dialect.model`."""
        return {
            "type": "model",
            "id": name,
            "display_name": name.replace("-", " ").title(),
            "created_at": "2024-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": CONTEXT_TOKENS,
            "max_tokens": OUTPUT_TOKENS,
            "capabilities": None,
            "line": None,
            "deprecated_at": None,
            "retires_at": None,
        }

    def models(self) -> dict[str, Any]:
        """See `Dialect.models`."""
        data = [self.model(name) for name in MODELS]
        return {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}

    def error(self, refused: RefusedError) -> dict[str, Any]:
        """See `Dialect.error`."""
        fallback = "api_error" if refused.status >= 500 else "invalid_request_error"
        kind = refused.code or _TYPES.get(refused.status, fallback)
        return {"type": "error", "error": {"type": kind, "message": refused.message}}

    def metered(self, ask: Ask) -> dict[str, int]:
        """See `Dialect.metered`; `max_tokens` counts nothing, but an empty bucket of output refuses."""
        return {"requests": 1, "input-tokens": ask.input_tokens, "output-tokens": 0}

    def metered_after(self, answer: Answer) -> dict[str, int]:
        """See `Dialect.metered_after`."""
        return {"output-tokens": _output(answer)}

    def limit_headers(self, levels: Mapping[str, Level]) -> dict[str, str]:
        """See `Dialect.limit_headers`."""
        return anthropic_headers(levels)

    def limited(self, model: str, breach: Breach) -> RefusedError:
        """See `Dialect.limited`."""
        del model
        return anthropic_limited(breach)

    def invalid_key(self) -> RefusedError:
        """See `Dialect.invalid_key`."""
        return RefusedError(401, "invalid x-api-key")

    def overloaded(self) -> RefusedError:
        """See `Dialect.overloaded`."""
        return RefusedError(529, "Overloaded")

    def unknown_model(self, name: str) -> RefusedError:
        """See `Dialect.unknown_model`."""
        return RefusedError(404, f"model: {name}")

    def unsupported(self, parameter: str) -> RefusedError:
        """See `Dialect.unsupported`."""
        return RefusedError(400, f"{parameter}: Extra inputs are not permitted")
