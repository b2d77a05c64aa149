"""Anthropic: the Messages API.

Source: Anthropic API reference, "Create a Message" and "Streaming Messages".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from llmkit.clients.access import Keys, access
from llmkit.clients.base import ContractTemperature
from llmkit.clients.classify import classify, error_parts
from llmkit.clients.codec import Answer, Request, count, items, loads, obj, text, total
from llmkit.clients.engine import Options, ProviderClient
from llmkit.errors import BadResponseError, InvalidRequestError, LLMClientError
from llmkit.messages import Usage
from llmkit.wire.carrier import WireRequest
from llmkit.wire.direct import DirectCarrier
from llmkit.wire.sdk import SDKCarrier, SDKHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS = "https://api.anthropic.com"

MAX_TOKENS = 4096
"""Limit of an answer where none is given: the API insists on one."""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}

_NAMES = {"stop": "stop_sequences"}


class AnthropicCodec:
    """The Messages wire format."""

    def encode(self, request: Request) -> WireRequest:
        """Return the request as it goes out; see `Codec.encode`."""
        turns = [{"role": m.role, "content": m.content} for m in request.messages if m.role != "system"]
        if not turns:
            raise InvalidRequestError("Anthropic needs a user message beside the system prompt.")
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens or MAX_TOKENS,
            "messages": turns,
        }
        if request.stream:
            body["stream"] = True
        # Newer models take no temperature, so one that nobody chose is not sent.
        unchosen = request.temperature is None or isinstance(request.temperature, ContractTemperature)
        optional = {
            "system": "\n\n".join(m.content for m in request.messages if m.role == "system") or None,
            "temperature": None if unchosen else request.temperature,
            **{_NAMES.get(name, name): value for name, value in request.extra.items()},
        }
        if isinstance(optional.get("stop_sequences"), str):
            optional["stop_sequences"] = [optional["stop_sequences"]]
        body |= {k: v for k, v in optional.items() if v is not None and k not in request.without}
        return WireRequest(path="/v1/messages", body=body, stream=request.stream)

    def decode(self, data: bytes, answer: Answer) -> str:
        """Read one event; see `Codec.decode`."""
        event = obj(loads(data))
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._delta(obj(event.get("delta")), answer)
        if kind == "content_block_start":
            return text(obj(event.get("content_block")).get("text"))
        if kind == "message_start":
            self._start(obj(event.get("message")), answer)
        elif kind == "message_delta":
            self._finish(obj(event.get("delta")), event.get("usage"), answer)
        elif kind == "message_stop":
            answer.ended = True
        elif kind == "error" or "error" in event:
            message, code = error_parts(data)
            raise classify(0, {}, message, code)
        return ""  # pings, and kinds that are yet to come

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Read a whole answer; see `Codec.decode_body`."""
        message = obj(loads(body))
        if message.get("type") == "error" or "error" in message:
            said, code = error_parts(body)
            raise classify(0, {}, said, code)
        if "content" not in message:
            raise BadResponseError("The answer has no content.")
        self._start(message, answer)
        self._finish(message, None, answer)
        answer.ended = True
        blocks = [obj(block) for block in items(message.get("content"))]
        return "".join(text(block.get("text")) for block in blocks if block.get("type", "text") == "text")

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMClientError:
        """Return the exception for an error status; see `Codec.classify`."""
        message, code = error_parts(body)
        return classify(status, headers, message, code)

    def models_request(self) -> WireRequest:
        """Return the request for the list of models."""
        return WireRequest(path="/v1/models")

    def decode_models(self, body: bytes) -> list[str]:
        """Read the names from the list of models."""
        return [text(obj(model).get("id")) for model in items(obj(loads(body)).get("data"))]

    def _delta(self, delta: dict[str, Any], answer: Answer) -> str:
        kind = delta.get("type")
        if kind == "text_delta" or (kind is None and "text" in delta):
            return text(delta.get("text"))
        answer.thinking = answer.thinking or kind in {"thinking_delta", "input_json_delta"}
        return ""

    def _start(self, message: dict[str, Any], answer: Answer) -> None:
        answer.model = text(message.get("model")) or None
        answer.request_id = text(message.get("id")) or None
        self._usage(message.get("usage"), answer)

    def _finish(self, delta: dict[str, Any], usage: Any, answer: Answer) -> None:
        if reason := text(delta.get("stop_reason")):
            answer.finish_reason = FINISH_REASONS.get(reason, reason)
        self._usage(usage, answer)

    def _usage(self, usage: Any, answer: Answer) -> None:
        """Take over counts: they are cumulative, and what a later event says replaces the earlier."""
        if not usage:
            return
        new = read_usage(obj(usage))
        old = answer.usage or Usage()
        changes = {name: n for name in Usage.__dataclass_fields__ if (n := getattr(new, name)) is not None}
        answer.usage = replace(old, **_whole_input(changes, old))
        answer.tier = text(usage.get("service_tier")) or answer.tier
        if usage.get("speed") == "fast":
            answer.tier = "fast"


def read_usage(usage: dict[str, Any]) -> Usage:
    """Read the tokens: all the input, with what was read from and written to the cache.

    Args:
        usage: The `usage` object. Where it lists `iterations`, each one was charged: they are summed.
    """
    rounds = [obj(one) for one in items(usage.get("iterations"))] or [usage]

    def tally(name: str) -> int | None:
        return total(*(count(one.get(name)) for one in rounds))

    read, write = tally("cache_read_input_tokens"), tally("cache_creation_input_tokens")
    fresh = tally("input_tokens")
    return Usage(
        input_tokens=None if fresh is None else total(fresh, read, write),
        output_tokens=tally("output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=total(
            *(count(obj(one.get("cache_creation")).get("ephemeral_1h_input_tokens")) for one in rounds)
        ),
        reasoning_tokens=count(obj(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def _whole_input(changes: dict[str, int], old: Usage) -> dict[str, int]:
    """Keep the cached part in the input when a later event repeats only the fresh part."""
    if "input_tokens" in changes:
        for name in ("cache_read", "cache_write"):
            if f"{name}_tokens" not in changes:
                changes["input_tokens"] += getattr(old, f"{name}_tokens") or 0
    return changes


class AnthropicClient(ProviderClient):
    """Client of Anthropic.

    Args:
        api_key: The key, or several that take turns; by default from `%llm key`, then
            `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`.
        base_url: The API's address, without `/v1`; by default `ANTHROPIC_BASE_URL`, then Anthropic's.
        client: Your own `anthropic.AsyncAnthropic` (or its Bedrock, Vertex, … kin) in place of key and
            address; it stays yours to close.
        **options: `model`, `timeout`, `max_retries` and `fallback`, as for `ProviderClient`.

    Raises:
        ConfigurationError: If a number makes no sense.

    Example:
        ```python
        async with AnthropicClient(model="claude-haiku-5-5") as client:
            response = await client.generate_text([LLMMessage(role="user", content="Hello")])
        ```
    """

    def __init__(
        self,
        api_key: Keys = None,
        base_url: str | None = None,
        *,
        client: Any = None,
        **options: Unpack[Options],
    ) -> None:
        self._access = access(
            "anthropic", "anthropic", api_key=api_key, base_url=base_url, own=client, default=ADDRESS
        )
        address = self._access.address
        headers = SDKHeaders(lambda: _sdk_client(address), self._sign)
        super().__init__(
            "anthropic",
            codec=AnthropicCodec(),
            carrier=DirectCarrier(address, headers) if client is None else SDKCarrier("anthropic", client),
            credentials=self._access.credentials if client is None else None,
            simulated=self._access.simulated,
            **options,
        )

    def _sign(self, client: Any) -> None:
        """Give the SDK the key for the next call, as a key or as a bearer token."""
        key = self._access.credentials.current()
        bearer = key.source.startswith("ANTHROPIC_AUTH_TOKEN")
        client.api_key = None if bearer else key.reveal()
        client.auth_token = key.reveal() if bearer else None


def _sdk_client(address: str) -> Any:
    import anthropic

    return anthropic.AsyncAnthropic(api_key="not signed yet", base_url=address)
