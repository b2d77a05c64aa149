"""OpenAI: the Chat Completions API, also used by compatible servers.

Source: OpenAI API reference, "Create chat completion" and "The chat completion chunk object".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from llmkit.content.media import most_expensive_image, openai_image
from llmkit.content.messages import ALTERNATIVE
from llmkit.content.schema import for_openai, in_prompt
from llmkit.core import catalog
from llmkit.core.errors import BadResponseError
from llmkit.providers import parts_openai
from llmkit.providers.attachment_limits import MB, Limits, check
from llmkit.providers.batch_openai import OpenAIBatches
from llmkit.providers.choices import effort_of, tier_of
from llmkit.providers.codec import Answer, Codec, ContractTemperature, Request
from llmkit.providers.decisions import questions_of
from llmkit.providers.decisions_openai import OpenAIDecisionsCodec
from llmkit.providers.error_mapping import WRONG_ADDRESS, of_event
from llmkit.providers.finish_reasons import broken_off, called, ended
from llmkit.providers.json_fields import (
    DONE,
    as_list,
    as_name,
    as_object,
    as_text,
    event,
    lenient_object,
    loads,
)
from llmkit.providers.openai_responses import OPENAI_TIERS, UNSUPPORTED, ResponsesCodec, openai_cache
from llmkit.providers.raw_parts import merge
from llmkit.providers.tool_fields import tool_fields
from llmkit.providers.usage_openai import note_tools, note_usage, note_usages
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmkit.content.messages import LLMMessage
    from llmkit.content.parts import Part
    from llmkit.content.tools import Tool
    from llmkit.core.errors import LLMClientError
    from llmkit.providers.batches import BatchFormat


LIMITS = Limits(name="OpenAI", request=70 * MB, links=frozenset({"image"}))
"""Source: OpenAI, "Images and vision" and "File inputs": 50 MB per request, 67 MB as base64. URLs
of files are only supported by the Responses API."""


_CALLS = frozenset({"tool_calls", "function_call"})


_LISTS = frozenset({"tool_calls", "reasoning_details", "images", "annotations", "thinking_blocks"})


_BEFORE = frozenset(
    {"reasoning_details", "thinking_blocks", "reasoning_content", "reasoning", "reasoning_text", "thinking"}
    | {"executed_tools"}
)
"""Parts that come before the text of the same message."""


_FIELDS = frozenset(
    {"function_call", "reasoning_content", "reasoning", "reasoning_text", "thinking", "audio"}
    | {"executed_tools"}
    | {"citations", "search_results"}
)
"""Parts of a message besides its text: objects, and fields that are stored by name."""


API: TypeAlias = Literal["auto", "responses", "chat"]
"""Which of OpenAI's two APIs to use: `"auto"` is the Responses API at OpenAI's own address."""


_DECISIONS = OpenAIDecisionsCodec()


class OpenAICodec(Codec):
    """The Chat Completions wire format, as OpenAI speaks it."""

    sandbox: ClassVar[str] = "openai"
    batches: ClassVar[BatchFormat | None] = OpenAIBatches()
    limit_fields: ClassVar[frozenset[str]] = frozenset({"max_tokens", "max_completion_tokens"})
    schema_fields: ClassVar[frozenset[str]] = frozenset({"response_format"})
    own_fields: ClassVar[frozenset[str]] = frozenset({"prompt_cache_key"})
    former_temperature: ClassVar[bool] = True
    tiers: ClassVar[Mapping[str, str]] = OPENAI_TIERS
    image_tokens = staticmethod(openai_image)

    def __init__(
        self,
        *,
        official: bool | Callable[[], bool] = True,
        api: API = "chat",
        provider: str = "openai",
        at_home: Callable[[], bool] | None = None,
    ) -> None:
        self._official = official
        self._api = api
        self._at_home = at_home
        self._provider = provider
        self._responses = ResponsesCodec(provider)
        known = catalog.providers().get(provider)
        self._only_there = None if known is None else known.responses
        self._denied = False

    def chosen(self, request: Request) -> Codec:
        """Return the format of the Responses or the Decisions API for what goes there; see `Codec.chosen`."""
        if questions_of(request) is not None:
            return _DECISIONS
        api = request.api or self._api
        if api == "responses" or (api == "auto" and self._fits(request)):
            return self._responses
        return self

    def deny(self, error: LLMClientError) -> bool:
        """Note that a server has no Responses API; see `Codec.deny`."""
        # The hint tells an unknown path from an unknown model.
        missing = error.status_code in {404, 405} and error.hint == WRONG_ADDRESS
        if not missing or self._denied or self._api != "auto":
            return False
        self._denied = True
        return True

    def _fits(self, request: Request) -> bool:
        """Whether a request goes to the Responses API, if nobody chose."""
        if self._only_there is None or self._at_home is None or not self._at_home():
            return False
        # These models have no other API, whatever the parameters.
        if catalog.matches(request.model, self._only_there):
            return True
        return not (self._denied or UNSUPPORTED & request.extra.keys())

    @classmethod
    def sends_limit(cls, request: Request) -> bool:
        """Whether `max_tokens` is sent, in whichever of the two formats; see `Codec.sends_limit`."""
        return super().sends_limit(request) and ResponsesCodec.sends_limit(request)

    @property
    def _is_official(self) -> bool:
        return self._official() if callable(self._official) else self._official

    def encode(self, request: Request) -> WireRequest:
        """Encode the request; see `Codec.encode`."""
        check(request.messages, LIMITS)
        response_format, messages = _format(request)
        # OpenAI's reasoning models refuse the older name; most compatible servers know only that.
        names, official = ("max_completion_tokens", "max_tokens"), self._is_official
        limit, other_limit = names if official else names[::-1]
        dropped = self.dropped(request)
        optional = {
            "temperature": _temperature(request, official=official),
            limit: request.max_tokens,
            # In a stream, OpenAI reports usage only when asked.
            "stream_options": {"include_usage": True} if request.stream else None,
            "response_format": response_format,
            **tool_fields(request, function_tool, _choice),
            **self._words(request, official=official),
            **request.extra,
        }
        for refused, other in ((limit, other_limit), (other_limit, limit)):
            _rename(optional, refused, other, request.without)
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [one for message in messages for one in parts_openai.messages(message)],
            **({"stream": True} if request.stream else {}),
        }
        body |= {k: v for k, v in optional.items() if v is not None and k not in dropped}
        return WireRequest(path="/chat/completions", body=body, stream=request.stream)

    def _words(self, request: Request, *, official: bool) -> dict[str, Any]:
        """Return the fields for effort, tier and cache."""
        return {
            "reasoning_effort": effort_of(request, self._provider if official else ""),
            "service_tier": tier_of(request, self.tiers),
            **(openai_cache(request) if official else {}),
        }

    def decode(self, data: bytes, answer: Answer) -> str:
        """Decode one event; see `Codec.decode`."""
        # Nothing after [DONE] belongs to the answer.
        if answer.closed:
            return ""
        if data.startswith(DONE):
            answer.ended = answer.closed = True
            return ""
        chunk = event(data)
        self._common(chunk, answer)
        choice = _first_choice(chunk, answer)
        if choice is None:
            return ""
        if choice.get("finish_reason") is not None or "error" in choice:
            self._end(choice, chunk, answer)
        delta = as_object(choice.get("delta"))
        content = delta.get("content")
        # The common case; cheaper than isinstance.
        if content.__class__ is str and content and len(delta) == 1:
            return content
        return self._rest(content, delta, answer)

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Decode a complete response; see `Codec.decode_body`."""
        data = as_object(loads(body))
        self._common(data, answer)
        choice = _first_choice(data, answer)
        if choice is None:
            raise BadResponseError("The answer has no choices.")
        # A whole document needs no end marker, and some servers send no finish reason.
        answer.ended = True
        message = as_object(choice.get("message"))
        written = self._rest(message.get("content"), message, answer)
        self._end(choice, data, answer)
        return written

    def count_request(self, request: Request) -> WireRequest | None:
        """Return the request that counts tokens, at OpenAI's own address; see `Codec.count_request`."""
        known = self._is_official and not UNSUPPORTED & request.extra.keys()
        return self._responses.count_request(request) if known else None

    def read_part(self, raw: dict[str, Any]) -> Iterable[Part]:
        """Return our parts; see `Codec.read_part`."""
        return parts_openai.read_part(raw)

    def finish_parts(self, parts: list[Part]) -> Iterable[Part]:
        """Return the parts of a whole answer; see `Codec.finish_parts`."""
        return parts_openai.without_doubles(parts)

    def _common(self, data: dict[str, Any], answer: Answer) -> None:
        """Store the metadata that events and complete responses may have."""
        if data.get("error") is not None or data.get("object") == "error":  # vLLM's is not wrapped
            answer.ended, answer.broken = True, of_event(data)
            if not data.get("choices"):
                raise answer.broken
        if answer.model is None and "model" in data:
            answer.model = as_name(data["model"])
            answer.request_id = as_name(data.get("id"))
        if data.get("usage") or "x_groq" in data:
            note_usages(data, answer)
        if tier := as_name(data.get("service_tier")):
            answer.tier = tier

    def _end(self, choice: dict[str, Any], whole: dict[str, Any], answer: Answer) -> None:
        """Store the finish reason, and fields that arrive with it."""
        reason, error = as_text(choice.get("finish_reason")), choice.get("error")
        if usage := lenient_object(choice.get("usage")):  # Moonshot
            note_usage(usage, answer)
        if reason:  # some servers send "" until the end
            answer.ended = True
            known = answer.finish_reason  # the first one, or a refusal
            ended(answer, reason, error)
            answer.finish_reason = known or answer.finish_reason
        if error is not None and answer.broken is None:
            answer.ended, answer.broken = True, broken_off("error", error)
        for name in ("citations", "search_results"):  # Perplexity's
            if isinstance(whole.get(name), list) and whole[name]:
                merge(answer, name, {name: whole[name]})

    def _rest(self, content: Any, message: dict[str, Any], answer: Answer) -> str:
        """Decode anything other than plain text: blocks (Mistral), a refusal, other parts."""
        parts = [name for name, value in message.items() if value and (name in _LISTS or name in _FIELDS)]
        answer.here = 0
        for name in parts:
            if name in _BEFORE:
                _gather(name, message[name], answer)
        text = self._text(content, message, answer)
        answer.here = len(text)
        for name in parts:
            if name not in _BEFORE:
                _gather(name, message[name], answer)
        return text

    def _text(self, content: Any, message: dict[str, Any], answer: Answer) -> str:
        if isinstance(content, list):
            text = ""
            for one in content:
                answer.here = len(text)
                text += _text_of_block(as_object(one), answer)
            return text
        if refusal := as_text(message.get("refusal")):
            answer.finish_reason = "refusal"
            return as_text(content) + refusal
        return as_text(content)


def function_tool(tool: Tool) -> dict[str, Any]:
    """Return a tool in the form of Chat Completions."""
    named = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": {name: value for name, value in named.items() if value != ""}}


def _choice(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


class CompatibleCodec(OpenAICodec):
    """The Chat Completions wire format, as any other server speaks it."""

    batches = None  # few have one, and each has its own limits
    image_tokens = staticmethod(most_expensive_image)


def _gather(name: str, value: Any, answer: Answer) -> None:
    """Store the parts of a message besides its text; fragments are joined."""
    answer.thinking = True  # counts as progress
    if name in _CALLS:
        called(answer)
    elif name == "executed_tools":
        note_tools(answer)
    if name in _LISTS:
        for one in value if isinstance(value, list) else ():
            if isinstance(one, dict):
                merge(answer, _key(name, one, answer), one)
    else:
        merge(answer, name, {name: value})


def _key(name: str, one: dict[str, Any], answer: Answer) -> object:
    """Return the key of a list item; an item without an index is complete."""
    index, kind = one.get("index"), one.get("type")
    if not isinstance(index, int):
        return len(answer.parts), name
    key: object = (name, index, str(kind) if name == "reasoning_details" else None)
    known = answer.growing.get(key, one)
    # Some servers number all tool calls 0.
    same = not one.get("id") or known.get("id") in (None, "", one["id"])
    return key if same else (len(answer.parts), name)


def _text_of_block(block: dict[str, Any], answer: Answer) -> str:
    """Return the text of a content block; store other blocks as parts."""
    kind = block.get("type", "text")
    if kind == "text":
        return as_text(block.get("text"))
    answer.thinking = answer.thinking or kind == "thinking"
    merge(answer, kind if kind == "thinking" else (len(answer.parts), "content"), block)
    return ""


def _temperature(request: Request, *, official: bool) -> float | None:
    """Return the temperature to send. The default is not sent to compatible servers, which may refuse it."""
    given = request.temperature
    if given is None or (isinstance(given, ContractTemperature) and not official):
        return None
    return float(given)


def _rename(fields: dict[str, Any], refused: str, other: str, without: frozenset[str]) -> None:
    """Send the limit under its other name, where a server refused this one alone."""
    known = refused in without and other not in without
    if known and fields.get(refused) is not None:
        fields[other] = fields.pop(refused)


def _format(request: Request) -> tuple[dict[str, Any] | None, tuple[LLMMessage, ...]]:
    """Return the `response_format` and the messages; if unsupported, the schema goes into the messages."""
    schema = request.schema
    if schema is None:
        return None, request.messages
    wanted = None if "response_format" in request.without else for_openai(schema)
    if wanted is not None and schema.json is not None:
        return wanted, request.messages
    return wanted, in_prompt(request.messages, schema)  # its JSON mode requires the word in the prompt, too


def _first_choice(data: dict[str, Any], answer: Answer) -> dict[str, Any] | None:
    """Return choice 0, and store the text of the others; the usage chunk has none."""
    choices = as_list(data.get("choices"))
    if len(choices) == 1 and (only := as_object(choices[0])).get("index", 0) in (0, None):  # the common case
        return only
    first = None
    for choice in map(as_object, choices):
        index = choice.get("index", 0)
        if first is None and index in (0, None):
            first = choice
        elif isinstance(index, int):
            _alternative(index, as_object(choice.get("delta") or choice.get("message")), answer)
    return first


def _alternative(index: Any, message: dict[str, Any], answer: Answer) -> None:
    """Store the text of a further candidate."""
    if text := message.get("content"):
        piece = {"type": ALTERNATIVE, "id": str(index), "text": text if isinstance(text, str) else ""}
        merge(answer, (ALTERNATIVE, index), piece)
