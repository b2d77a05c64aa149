"""Anthropic: the Messages API.

Source: Anthropic API reference, "Create a Message" and "Streaming Messages".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import anthropic_image
from llmkit.content.schema import for_anthropic, in_prompt
from llmkit.core import catalog
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.providers import parts_anthropic
from llmkit.providers.attachment_limits import MB, Limits, check
from llmkit.providers.batch_anthropic import AnthropicBatches
from llmkit.providers.choices import comes_again, effort_of, tier_of
from llmkit.providers.codec import Answer, Codec, ContractTemperature, Request
from llmkit.providers.error_mapping import of_event
from llmkit.providers.finish_reasons import ended
from llmkit.providers.json_fields import as_list, as_name, as_object, as_text, event, lenient_object, loads
from llmkit.providers.raw_parts import merge
from llmkit.providers.tool_fields import tool_fields
from llmkit.providers.usage_anthropic import note_usage
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.content.parts import Part
    from llmkit.content.tools import Tool
    from llmkit.core.redaction import Secret
    from llmkit.providers.batches import BatchFormat
    from llmkit.transport.base import OutgoingRequest


_BLOCKS = {"thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use"}
"""The block to which a delta belongs."""


_OWN_BLOCKS = frozenset({"thinking", "redacted_thinking", "tool_use"})
"""Blocks that the model writes besides its text; other blocks come from server tools."""


_NAMES = {"stop": "stop_sequences"}


LIMITS = Limits(
    name="Anthropic", request=32 * MB, image=5 * MB, side=8000, many=20, many_side=2000, pages=600
)
"""Source: Anthropic, "Images and vision" (general limits) and "PDF support"."""


ANTHROPIC_MAX_TOKENS = 4096
"""Default output limit for Anthropic, whose API requires one."""

_LEAST_BUDGET = 1024
"""The smallest budget for thinking that Anthropic accepts."""

_ROOM = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
"""Tokens for thinking on top of the default output limit."""

_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)
"""Fields of a request that the endpoint for counting has, too."""

VERSION = "2026-10-21"
"""The API version; the same as in the official SDK."""


class AnthropicCodec(Codec):
    """The Messages wire format."""

    batches: ClassVar[BatchFormat | None] = AnthropicBatches()
    sandbox: ClassVar[str] = "anthropic"
    output_limit: ClassVar[int | None] = ANTHROPIC_MAX_TOKENS
    schema_fields: ClassVar[frozenset[str]] = frozenset({"output_config"})
    own_fields: ClassVar[frozenset[str]] = frozenset({"cache_control"})
    tiers: ClassVar[Mapping[str, str]] = {"standard": "standard_only", "priority": "auto"}
    caches_unasked: ClassVar[bool] = False  # it takes what is marked with `cache_control`
    image_tokens = staticmethod(anthropic_image)

    @classmethod
    def most_output(cls, request: Request) -> int:
        """Return the output limit where a request gives none; reasoning counts, so it needs room."""
        room = _ROOM.get(request.effort or "none", 0)
        return min(
            ANTHROPIC_MAX_TOKENS + room, max(catalog.output_limit(request.model), ANTHROPIC_MAX_TOKENS)
        )

    def encode(self, request: Request) -> WireRequest:
        """Encode the request; see `Codec.encode`."""
        check(request.messages, LIMITS)
        request, output = _with_format(request)
        turns = [
            {"role": m.role, "content": content}
            for m in request.messages
            if m.role != "system" and (content := parts_anthropic.content(m))
        ]
        if not turns:
            raise InvalidRequestError("Anthropic needs a user message besides the system prompt.")
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens or self.most_output(request),
            "messages": turns,
        }
        if request.stream:
            body["stream"] = True
        body |= _optional(request, self.dropped(request)) | output
        return WireRequest(path="/v1/messages", body=body, stream=request.stream)

    def decode(self, data: bytes, answer: Answer) -> str:
        """Decode one event; see `Codec.decode`."""
        if answer.closed:
            return ""
        payload = event(data)
        kind = payload.get("type")
        if kind != "content_block_delta":
            return self._frame(kind, payload, answer)
        delta = as_object(payload.get("delta"))
        written = delta.get("text")
        if delta.get("type", "text_delta") != "text_delta":
            _delta(payload.get("index"), delta, answer)
            return ""
        if written.__class__ is str and not answer.apart:  # the common case
            answer.last = written or answer.last
            return written
        return answer.paragraph(as_text(written))

    def _frame(self, kind: Any, payload: dict[str, Any], answer: Answer) -> str:
        """Read an event that stands around the deltas."""
        if kind == "content_block_start":
            return _block_of(payload.get("index"), as_object(payload.get("content_block")), answer)
        if kind == "message_start":
            self._start(as_object(payload.get("message")), answer)
        elif kind == "message_delta":
            self._finish(as_object(payload.get("delta")), payload.get("usage"), answer)
        elif kind == "message_stop":
            answer.ended = answer.closed = True
        elif kind == "error" or "error" in payload:
            raise of_event(payload)
        return ""  # pings and future types

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Decode a complete response; see `Codec.decode_body`."""
        message = as_object(loads(body))
        if message.get("type") == "error" or "error" in message:
            raise of_event(message)
        if message.get("content") is None:
            raise BadResponseError("The answer has no content.")
        self._start(message, answer)
        written = ""
        for number, block in enumerate(map(as_object, as_list(message.get("content")))):
            answer.here = len(written)
            written += _block_of(number, block, answer)
        self._finish(message, None, answer)
        answer.ended = True
        return written

    def sign(self, key: Secret, request: OutgoingRequest) -> Mapping[str, str]:
        """Return the headers that authorize a request; see `Codec.sign`."""
        return {"anthropic-version": VERSION, **super().sign(key, request)}

    def read_part(self, raw: dict[str, Any]) -> Iterable[Part]:
        """Return our parts; see `Codec.read_part`."""
        return parts_anthropic.read_part(raw)

    def finish_parts(self, parts: list[Part]) -> Iterable[Part]:
        """Return the parts of a whole answer; see `Codec.finish_parts`."""
        return parts_anthropic.with_citations(parts)

    def count_request(self, request: Request) -> WireRequest:
        """Return the request that counts tokens; see `Codec.count_request`."""
        body = self.encode(request).body or {}
        return WireRequest(
            path="/v1/messages/count_tokens", body={name: body[name] for name in body.keys() & _COUNTED}
        )

    def models_request(self) -> WireRequest:
        """Return the request for the list of models."""
        return WireRequest(path="/v1/models")

    def _start(self, message: dict[str, Any], answer: Answer) -> None:
        answer.model = as_name(message.get("model"))
        answer.request_id = as_name(message.get("id"))
        note_usage(message, message.get("usage"), answer)

    def _finish(self, delta: dict[str, Any], usage: Any, answer: Answer) -> None:
        if reason := as_text(delta.get("stop_reason")):
            ended(answer, reason, delta.get("stop_details"))
        note_usage(delta, usage, answer)


def _block_of(index: Any, block: dict[str, Any], answer: Answer) -> str:
    """Return the text of a block's start; other blocks are stored as parts."""
    kind = block.get("type", "text")
    if kind == "text":
        answer.begin_text()
        citations = block.get("citations")
        for number, citation in enumerate(citations if isinstance(citations, list) else ()):
            _cite(index, number, citation, answer)
        return answer.paragraph(as_text(block.get("text")))
    answer.thinking = True
    answer.apart = answer.apart or str(kind) not in _OWN_BLOCKS
    merge(answer, _place(index), block)
    return ""


def _delta(index: Any, delta: dict[str, Any], answer: Answer) -> None:
    """Continue a part; a citation belongs to a text and does not split it."""
    kind = as_text(delta.get("type"))
    if kind == "citations_delta":
        _cite(index, len(answer.parts), delta.get("citation"), answer)
        return
    more = {name: value for name, value in delta.items() if name != "type" and value}
    answer.thinking = answer.thinking or bool(more)
    if more and _place(index) not in answer.growing:  # its start event is missing
        more["type"] = _BLOCKS.get(kind, kind)
    if more:
        merge(answer, _place(index), more)


def _cite(index: Any, number: int, citation: Any, answer: Answer) -> None:
    if isinstance(citation, dict):
        merge(answer, (_place(index), "citation", number), citation)


def _place(index: Any) -> int | None:
    return index if isinstance(index, int) else None


def _optional(request: Request, dropped: frozenset[str]) -> dict[str, Any]:
    """Return the optional fields: the system prompt and the parameters."""
    # Newer models refuse a temperature, so the default one is not sent.
    unchosen = request.temperature is None or isinstance(request.temperature, ContractTemperature)
    fields = {
        # The API takes the system prompt as a field, not as a message.
        "system": "\n\n".join(m.content for m in request.messages if m.role == "system") or None,
        "temperature": None if unchosen else request.temperature,
        **tool_fields(
            request,
            _tool,
            _choice,
            {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}},
        ),
        "service_tier": tier_of(request, AnthropicCodec.tiers),
        "cache_control": {"type": "ephemeral"} if comes_again(request) else None,
        **_thinking(request),
        **{_NAMES.get(name, name): value for name, value in request.extra.items()},
    }
    if isinstance(fields.get("stop_sequences"), str):
        # OpenAI's `stop` may be a single string.
        fields["stop_sequences"] = [fields["stop_sequences"]]
    return {k: v for k, v in fields.items() if v is not None and k not in dropped}


def _thinking(request: Request) -> dict[str, Any]:
    """Return the fields for the chosen effort: the model decides how much it thinks, or has a budget."""
    level = effort_of(request, "anthropic")
    if level is None:
        return {}
    if level == "none":
        return {"thinking": {"type": "disabled"}}
    if isinstance(level, str):
        return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": level}}
    limit = request.max_tokens or AnthropicCodec.most_output(request)
    if limit <= _LEAST_BUDGET:
        raise InvalidRequestError(
            f"max_tokens is {limit}, but {request.model} needs more than {_LEAST_BUDGET:,} to reason.",
            hint='Raise max_tokens, or use effort="none".',
        )
    return {"thinking": {"type": "enabled", "budget_tokens": min(level, limit - 1)}}


def _tool(tool: Tool) -> dict[str, Any]:
    named = {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
    return {name: value for name, value in named.items() if value != ""}


def _choice(name: str) -> dict[str, Any]:
    return {"type": "tool", "name": name}


def _with_format(request: Request) -> tuple[Request, dict[str, Any]]:
    """Return the parameter for a schema; if it is unsupported, put the schema into the messages."""
    schema = request.schema
    if schema is None:
        return request, {}
    wanted = None if "output_config" in request.without else for_anthropic(schema)
    if wanted is None:
        return replace(request, messages=in_prompt(request.messages, schema)), {}
    given = _thinking(request).get("output_config", {})
    given |= lenient_object(request.extra.get("output_config"))
    return request, {"output_config": {**given, "format": wanted}}
