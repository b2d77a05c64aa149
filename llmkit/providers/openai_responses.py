"""OpenAI: the Responses API, which its newer models and its own tools need.

Source: OpenAI API reference, "Create a model response", "The response object" and "Streaming events".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import openai_image
from llmkit.content.schema import for_openai, in_prompt
from llmkit.core import catalog
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.providers import parts_responses
from llmkit.providers.attachment_limits import MB, Limits, check
from llmkit.providers.choices import comes_again, effort_of, tier_of
from llmkit.providers.codec import Answer, Codec, Request
from llmkit.providers.error_mapping import of_event
from llmkit.providers.finish_reasons import called, ended
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
from llmkit.providers.raw_parts import merge
from llmkit.providers.tool_fields import tool_fields
from llmkit.providers.usage import note
from llmkit.providers.usage_responses import read_usage, reported
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.content.messages import LLMMessage
    from llmkit.content.parts import Part
    from llmkit.content.tools import Tool

LIMITS = Limits(name="OpenAI", request=70 * MB)
"""Source: OpenAI, "Images and vision" and "File inputs": 50 MB per request, 67 MB as base64."""

UNSUPPORTED = frozenset(
    {
        "n", "stop", "seed", "logit_bias", "frequency_penalty", "presence_penalty", "logprobs", "modalities",
        "audio", "functions", "function_call", "prediction", "stream_options", "web_search_options",
    }
)  # fmt: skip
"""Parameters of Chat Completions that the Responses API does not have."""

OPENAI_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}

EXPLICIT = ("gpt-5.[6-9]*", "gpt-6*")
"""Models whose prompts are cached only where it is asked for, if one says so."""

_COUNTED = frozenset({"model", "input", "instructions", "tools", "tool_choice", "reasoning", "text"})
"""Fields of a request that the endpoint for counting has, too."""

SUMMARY = frozenset({"reasoning", "include"})
"""Fields that ask for a summary of reasoning."""

ENCRYPTED = "reasoning.encrypted_content"

_ANSWERED = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesCodec(Codec):
    """The wire format of the Responses API, without state on the server.

    Args:
        provider: The provider, whose models that reason are asked for a summary of it.
    """

    limit_fields: ClassVar[frozenset[str]] = frozenset({"max_output_tokens"})
    schema_fields: ClassVar[frozenset[str]] = frozenset({"text"})
    own_fields: ClassVar[frozenset[str]] = frozenset({*SUMMARY, "prompt_cache_key"})
    tiers: ClassVar[Mapping[str, str]] = OPENAI_TIERS
    image_tokens = staticmethod(openai_image)

    def __init__(self, provider: str = "openai") -> None:
        self._provider = provider
        known = catalog.providers().get(provider)
        self._reasons = () if known is None else known.reasons

    def encode(self, request: Request) -> WireRequest:
        """Encode the request; see `Codec.encode`."""
        check(request.messages, LIMITS)
        extra = _renamed(request.extra)
        text, messages = _format(request, extra)
        stored = bool(extra.get("store", False))
        dropped = self.dropped(request) - SUMMARY
        optional = {
            "temperature": None if request.temperature is None else float(request.temperature),
            "max_output_tokens": request.max_tokens,
            **self._reasoning(request, extra),
            **tool_fields(request, _function_tool, _choice),
            "service_tier": tier_of(request, self.tiers),
            **openai_cache(request),
            **extra,
            "text": text or None,
        }
        body: dict[str, Any] = {
            "model": request.model,
            "input": parts_responses.items(messages, stored=stored),
            # The API's default keeps each answer on the server.
            "store": stored,
        }
        if request.stream:
            body["stream"] = True
        body |= {name: value for name, value in optional.items() if value is not None and name not in dropped}
        return WireRequest(path="/responses", body=body, stream=request.stream)

    def decode(self, data: bytes, answer: Answer) -> str:
        """Decode one event; see `Codec.decode`."""
        # This protocol has no [DONE], but proxies end any stream with it.
        if answer.closed or data.startswith(DONE):
            return ""
        payload = event(data)
        kind = payload.get("type")
        if kind == "response.output_text.delta":  # the common case
            written = payload.get("delta")
            if written.__class__ is str and not answer.apart:
                answer.last = written or answer.last
                return written
            return answer.paragraph(as_text(written))
        answer.here = 0
        return self._event(as_text(kind), payload, answer)

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Decode a complete response; see `Codec.decode_body`."""
        data = as_object(loads(body))
        if data.get("error") is not None and "output" not in data:
            raise of_event(data)
        if "output" not in data:
            raise BadResponseError("The answer has no output.")
        written = ""
        for number, item in enumerate(map(as_object, as_list(data["output"]))):
            answer.here = len(written)
            written += self._whole_item(number, item, answer)
        self._end(data, answer)
        return written

    def read_part(self, raw: dict[str, Any]) -> Iterable[Part]:
        """Return our parts; see `Codec.read_part`."""
        return parts_responses.read_part(raw)

    def finish_parts(self, parts: list[Part]) -> Iterable[Part]:
        """Return the parts of a whole answer; see `Codec.finish_parts`."""
        return parts_responses.with_places(parts)

    def count_request(self, request: Request) -> WireRequest:
        """Return the request that counts tokens; see `Codec.count_request`."""
        body = self.encode(request).body or {}
        counted = {name: body[name] for name in body.keys() & _COUNTED}
        return WireRequest(path="/responses/input_tokens", body=counted)

    def _reasoning(self, request: Request, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that ask for a summary of reasoning, and for its encrypted form to send back."""
        effort = effort_of(request, self._provider)
        chosen = {} if effort is None else {"effort": effort}
        if SUMMARY & request.without or not catalog.matches(request.model, self._reasons):
            return {"reasoning": {**chosen, **lenient_object(extra.pop("reasoning", None))}} if chosen else {}
        wanted = {"summary": "auto", **chosen, **lenient_object(extra.pop("reasoning", None))}
        # What the user asked for is kept, and ours is added.
        include = as_list(extra.pop("include", None))
        return {"reasoning": wanted, "include": [*include, *([] if ENCRYPTED in include else [ENCRYPTED])]}

    def _event(self, kind: str, payload: dict[str, Any], answer: Answer) -> str:
        """Read an event other than text."""
        number = payload.get("output_index")
        if kind == "response.output_item.added":
            self._item_begins(number, as_object(payload.get("item")), answer)
        elif kind == "response.output_item.done":
            return self._item_ends(number, as_object(payload.get("item")), answer)
        elif kind in _ANSWERED:
            return self._last_event(as_object(payload.get("response")), answer)
        elif kind == "error" or (payload.get("error")):
            raise of_event(payload if isinstance(payload.get("error"), dict) else {"error": payload})
        elif kind == "response.queued":
            raise _background()
        elif kind in {"response.created", "response.in_progress"}:
            _metadata(as_object(payload.get("response")), answer)
        elif kind == "response.refusal.delta":
            return _refused(number, as_text(payload.get("delta")), answer)
        else:
            _delta(kind, number, payload, answer)
        return ""

    def _item_begins(self, number: Any, item: dict[str, Any], answer: Answer) -> None:
        answer.thinking = True
        if item.get("type") == "message":
            header = _header(item)
            answer.growing[_key(number)] = header
            answer.begin_text(header)
        elif item:
            if item.get("type") != "reasoning":
                answer.apart = True
            merge(answer, _key(number), dict(item))

    def _item_ends(self, number: Any, item: dict[str, Any], answer: Answer) -> str:
        """Replace what was gathered of an item by the whole of it; return its text if none was streamed."""
        known = answer.growing.get(_key(number))
        if known is None:
            return self._whole_item(number, item, answer)
        if item.get("type") == "message":
            known.update(_header(item))
            _annotate(number, item, answer)
        elif item:
            # The whole item may have what no fragment had, such as encrypted reasoning.
            known.clear()
            known.update(item)
            _note_call(item, answer)
        return ""

    def _whole_item(self, number: Any, item: dict[str, Any], answer: Answer) -> str:
        """Read an item that was not streamed."""
        before = answer.here
        self._item_begins(number, item, answer)
        _note_call(item, answer)
        written = ""
        for block in map(as_object, as_list(item.get("content")) if item.get("type") == "message" else []):
            answer.here = before + len(written)
            if block.get("type") == "refusal":
                written += _refused(number, as_text(block.get("refusal")), answer)
            else:
                written += answer.paragraph(as_text(block.get("text")))
        if item.get("type") == "message":
            _annotate(number, item, answer)
        return written

    def _last_event(self, response: dict[str, Any], answer: Answer) -> str:
        """Read the final event; items that were not streamed are read from it."""
        written = ""
        for number, item in enumerate(map(as_object, as_list(response.get("output")))):
            if _key(number) not in answer.growing:
                answer.here = len(written)
                written += self._whole_item(number, item, answer)
        self._end(response, answer)
        answer.closed = True
        return written

    def _end(self, response: dict[str, Any], answer: Answer) -> None:
        _metadata(response, answer)
        status = as_text(response.get("status")) or "completed"
        if status in {"queued", "in_progress"}:
            raise _background()
        answer.ended = True
        if report := reported(response):
            note(answer, report, read_usage)
        if response.get("error"):
            answer.broken = of_event({"error": response["error"]})
        # The status of a refusal is `completed`, too.
        refused = answer.finish_reason == "refusal"
        reason = as_text(lenient_object(response.get("incomplete_details")).get("reason"))
        ended(answer, reason or status, response.get("error"))
        if refused:
            answer.finish_reason = "refusal"


def openai_cache(request: Request) -> dict[str, Any]:
    """Return the fields for the prompt cache: a key that the requests of a conversation have in common."""
    if request.cache == "off" and catalog.matches(request.model, EXPLICIT):
        return {"prompt_cache_options": {"mode": "explicit"}}  # without breakpoints, nothing is written
    if not comes_again(request):
        return {}
    questions = [place for place, message in enumerate(request.messages) if message.role == "user"]
    beginning = [message.content for message in request.messages[: questions[0] + 1]] if questions else []
    return {"prompt_cache_key": hashlib.sha256(repr(beginning).encode()).hexdigest()[:32]}


def _function_tool(tool: Tool) -> dict[str, Any]:
    named = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {
        "type": "function",
        # The API's default is strict, which refuses optional properties.
        "strict": False,
        **{name: value for name, value in named.items() if value != ""},
    }


def _choice(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


def _key(number: Any) -> object:
    return "item", number if isinstance(number, int) else None


def _header(item: dict[str, Any]) -> dict[str, Any]:
    """Return what a message's text needs on its way back."""
    kept = {name: item[name] for name in ("id", "status", "phase") if item.get(name) is not None}
    return {"type": "message", **kept}


def _note_call(item: dict[str, Any], answer: Answer) -> None:
    if item.get("type") in {"function_call", "custom_tool_call"}:
        called(answer)


def _annotate(number: Any, item: dict[str, Any], answer: Answer) -> None:
    """Store the sources of a message's texts."""
    for place, block in enumerate(map(lenient_object, as_list(item.get("content")))):
        for order, one in enumerate(as_list(block.get("annotations"))):
            if isinstance(one, dict) and "type" in one:
                merge(answer, (*_pair(number), "source", place, order), dict(one))


def _pair(number: Any) -> tuple[str, Any]:
    return "item", number if isinstance(number, int) else None


def _delta(kind: str, number: Any, payload: dict[str, Any], answer: Answer) -> None:
    """Continue an item: reasoning, or the arguments of a call; other events only show progress."""
    answer.thinking = True
    delta = payload.get("delta")
    # A blank line separates the sections of a summary; the first one needs none.
    if kind == "response.reasoning_summary_part.added" and payload.get("summary_index"):
        delta = "\n\n"
    elif kind in {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}:
        pass
    elif kind == "response.function_call_arguments.delta":
        merge(answer, _key(number), {"type": "function_call", "arguments": as_text(delta)})
        return
    elif kind == "response.custom_tool_call_input.delta":
        merge(answer, _key(number), {"type": "custom_tool_call", "input": as_text(delta)})
        return
    else:
        return
    merge(answer, _key(number), {"type": "reasoning", "summary_text": as_text(delta)})


def _refused(number: Any, written: str, answer: Answer) -> str:
    answer.finish_reason = "refusal"
    if (header := answer.growing.get(_key(number))) is not None:
        header["refused"] = True
    return answer.paragraph(written)


def _metadata(response: dict[str, Any], answer: Answer) -> None:
    answer.model = as_name(response.get("model")) or answer.model
    answer.request_id = as_name(response.get("id")) or answer.request_id
    answer.tier = as_name(response.get("service_tier")) or answer.tier


def _background() -> BadResponseError:
    return BadResponseError(
        "The server answers in the background, which llmkit does not wait for.",
        hint="Leave out background=True.",
    )


def _renamed(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's parameters under the names of this API; those of Chat Completions are understood."""
    _check_names(extra)
    found = dict(extra)
    for old in ("max_completion_tokens", "max_tokens"):
        if old in found:
            found["max_output_tokens"] = found.pop(old)
    for old, new, field in (("reasoning_effort", "reasoning", "effort"), ("verbosity", "text", "verbosity")):
        if (value := found.pop(old, None)) is not None:
            found[new] = {field: value, **lenient_object(found.get(new))}
    if isinstance(tools := found.get("tools"), list | tuple):
        found["tools"] = [_tool(one) for one in tools]
    function = lenient_object(lenient_object(found.get("tool_choice")).get("function"))
    if function:
        found["tool_choice"] = {"type": "function", "name": function.get("name")}
    return found


def _check_names(extra: Mapping[str, Any]) -> None:
    wrong = sorted(UNSUPPORTED & {name for name, value in extra.items() if value is not None})
    if wrong:
        raise InvalidRequestError(
            f"The Responses API does not have {', '.join(wrong)}.",
            hint='Leave it out, or use OpenAIClient(api="chat").',
        )
    if extra.get("background"):
        raise InvalidRequestError("A background answer is not supported.", hint="Leave out background=True.")


def _tool(tool: Any) -> Any:
    """Return a tool; a function in the form of Chat Completions is put flat, with the required `strict`."""
    if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
        tool = {"type": "function", **tool["function"]}
    if isinstance(tool, dict) and tool.get("type") == "function" and "strict" not in tool:
        return {**tool, "strict": False}
    return tool


def _format(request: Request, extra: dict[str, Any]) -> tuple[dict[str, Any], tuple[LLMMessage, ...]]:
    """Return the `text` field and the messages; an unsupported schema goes into the messages."""
    text = dict(lenient_object(extra.pop("text", None)))
    wanted = extra.pop("response_format", None)
    messages = request.messages
    if (schema := request.schema) is not None:
        wanted = None if "text" in request.without else for_openai(schema)
        if wanted is None or schema.json is None:
            messages = in_prompt(messages, schema)
    if isinstance(wanted, dict):
        text["format"] = {"type": wanted.get("type"), **lenient_object(wanted.get("json_schema"))}
    return text, messages
