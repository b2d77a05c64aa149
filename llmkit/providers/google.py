"""Google: the Gemini API, `generateContent` and `streamGenerateContent`.

Source: Gemini API reference, "Generating content".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import google_image
from llmkit.content.messages import ALTERNATIVE
from llmkit.content.schema import in_prompt
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.providers import parts_google
from llmkit.providers.attachment_limits import MB, Limits, check
from llmkit.providers.batch_google import GoogleBatches
from llmkit.providers.choices import TIERS, effort_of, tier_of
from llmkit.providers.codec import Answer, Codec, Request
from llmkit.providers.decisions import questions_of
from llmkit.providers.decisions_google import GoogleDecisionsCodec
from llmkit.providers.error_mapping import of_event
from llmkit.providers.finish_reasons import BROKEN as BROKEN_OFF
from llmkit.providers.finish_reasons import called, ended
from llmkit.providers.json_fields import as_list, as_name, as_object, as_text, event, lenient_object, loads
from llmkit.providers.raw_parts import merge
from llmkit.providers.tool_fields import tool_fields
from llmkit.providers.usage_google import note_search, note_usage
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.content.parts import Part
    from llmkit.content.tools import Tool
    from llmkit.core.redaction import Secret
    from llmkit.providers.batches import BatchFormat
    from llmkit.transport.base import OutgoingRequest


BROKEN = BROKEN_OFF | {
    "other",
    "language",
    "no_image",
    "image_other",
    "unexpected_tool_call",
    "too_many_tool_calls",
    "missing_thought_signature",
    "malformed_response",
}
"""Gemini's finish reasons of failed answers, in lower case."""


_META = {"content", "index", "finishReason", "finishMessage", "safetyRatings", "tokenCount", "avgLogprobs"}
"""Keys of a candidate that are not parts of the answer."""


LIMITS = Limits(
    name="Gemini",
    types=frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf"}),
    request=100 * MB,
    pages=1000,
)
"""Source: Gemini API, "Image understanding", "Document understanding" and "File input methods"."""


_ASTRAY = re.compile(r"[?#%\\\x00-\x1f\x7f]|(?:^|/)\.{0,2}(?:/|$)")
"""Characters in a model name that would change the address of a request."""


_COUNTED = frozenset({"contents", "systemInstruction", "tools", "toolConfig"})
"""Fields of a request that are counted."""


_NAMES = {"stop": "stopSequences"}


_GENERATION = frozenset(
    {
        "topP",
        "topK",
        "seed",
        "stopSequences",
        "candidateCount",
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseLogprobs",
        "logprobs",
        "thinkingConfig",
        "mediaResolution",
        "responseModalities",
        "speechConfig",
    }
)


class GoogleCodec(Codec):
    """The Gemini wire format."""

    batches: ClassVar[BatchFormat | None] = GoogleBatches()
    sandbox: ClassVar[str] = "google"
    limit_fields: ClassVar[frozenset[str]] = frozenset({"maxOutputTokens"})
    schema_fields: ClassVar[frozenset[str]] = frozenset({"responseJsonSchema", "responseMimeType"})
    former_temperature: ClassVar[bool] = True
    tiers: ClassVar[Mapping[str, str]] = {name: name for name in TIERS}
    image_tokens = staticmethod(google_image)

    def __init__(self, version: str = "v1beta", *, schemas: bool = True) -> None:
        self._version = version
        self._schemas = schemas

    def chosen(self, request: Request) -> Codec:
        """Return the format of the Decisions API for a request with questions; see `Codec.chosen`."""
        if questions_of(request) is not None:
            return GoogleDecisionsCodec(request)
        return super().chosen(request)

    def encode(self, request: Request) -> WireRequest:
        """Encode the request; see `Codec.encode`."""
        check(request.messages, LIMITS)
        # Users write top_p or topP, but the API has only the latter.
        extra = {camel(_NAMES.get(name, name)): value for name, value in request.extra.items()}
        request, wanted = self._with_format(request)
        # The user's own fields come last, so that they win.
        extra = {**wanted, **_tools(request), **_choices(request), **extra}
        body: dict[str, Any] = {"contents": _turns(request)}
        if system := [{"text": m.content} for m in request.messages if m.role == "system"]:
            body["systemInstruction"] = {"parts": system}
        dropped = self.dropped(request)
        if config := _generation(request, extra, dropped):
            body["generationConfig"] = config
        body |= {k: v for k, v in extra.items() if k not in _GENERATION | dropped}
        name = _path(request.model)
        method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return WireRequest(path=f"/{self._version}/{name}:{method}", body=body, stream=request.stream)

    def _with_format(self, request: Request) -> tuple[Request, dict[str, Any]]:
        """Return the parameters for a schema; if unsupported, put the schema into the messages."""
        schema = request.schema
        if schema is None:
            return request, {}
        refused = request.without & {"responseJsonSchema", "responseMimeType"}
        wanted: dict[str, Any] = {"responseMimeType": "application/json"}
        if "responseMimeType" in refused:
            wanted = {}
        if schema.json is None and wanted:
            return request, wanted
        if schema.json is None or refused or not self._schemas:
            return replace(request, messages=in_prompt(request.messages, schema)), wanted
        return request, {**wanted, "responseJsonSchema": dict(schema.json)}

    def decode(self, data: bytes, answer: Answer) -> str:
        """Decode one event; see `Codec.decode`."""
        answer.here = 0
        return self._read(event(data), answer)

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Decode a complete response; see `Codec.decode_body`."""
        data = loads(body)
        if isinstance(data, list) and data:  # a stream without alt=sse is a list of events
            return "".join(self._read(as_object(one), answer) for one in data)
        whole = as_object(data)
        # The answer to a blocked prompt has no candidates.
        known = any(whole.get(name) for name in ("promptFeedback", "usageMetadata", "error"))
        if not (
            known or isinstance(whole.get("candidates"), list)
        ):  # an empty list is an answer without text
            raise BadResponseError("The answer has no candidates.")
        written = self._read(whole, answer)
        answer.ended = True
        return written

    def sign(self, key: Secret, request: OutgoingRequest) -> Mapping[str, str]:  # noqa: ARG002 - no signature
        """Return the headers that authorize a request; see `Codec.sign`."""
        return {"x-goog-api-key": key.reveal()}

    def parameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of a body with those of `generationConfig`; see `Codec.parameters`."""
        return {**body, **(body.get("generationConfig") or {})}

    def read_part(self, raw: dict[str, Any]) -> Iterable[Part]:
        """Return our parts; see `Codec.read_part`."""
        return parts_google.read_part(raw)

    def as_sent(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return a part without our identifier; see `Codec.as_sent`."""
        return parts_google.unidentified(raw)

    def finish_parts(self, parts: list[Part]) -> Iterable[Part]:
        """Return the parts of a whole answer; see `Codec.finish_parts`."""
        return parts_google.in_characters(parts)

    def count_request(self, request: Request) -> WireRequest:
        """Return the request that counts tokens; see `Codec.count_request`."""
        whole, name = self.encode(request).body or {}, _path(request.model)
        counted = {field: whole[field] for field in whole.keys() & _COUNTED}
        if counted.keys() != {"contents"}:  # only a whole request may have more
            counted = {"generateContentRequest": {"model": name, **counted}}
        return WireRequest(path=f"/{self._version}/{name}:countTokens", body=counted)

    def models_request(self) -> WireRequest:
        """Return the request for the list of models."""
        # The API's default page has only 50 models.
        return WireRequest(path=f"/{self._version}/models?pageSize=1000")

    def decode_models(self, body: bytes) -> list[str]:
        """Decode the list of models."""
        names = (
            as_text(as_object(model).get("name")) for model in as_list(as_object(loads(body)).get("models"))
        )
        return [name.removeprefix("models/") for name in names]

    def _read(self, payload: dict[str, Any], answer: Answer) -> str:
        if payload.get("error") is not None:
            raise of_event(payload)
        if usage := lenient_object(payload.get("usageMetadata")):
            note_usage(usage, answer)
        answer.model = as_name(payload.get("modelVersion")) or answer.model
        answer.request_id = as_name(payload.get("responseId")) or answer.request_id
        if as_name(as_object(payload.get("promptFeedback")).get("blockReason")):
            answer.finish_reason, answer.ended = "content_filter", True
            merge(answer, "promptFeedback", {"promptFeedback": payload["promptFeedback"]})
        written = ""
        for candidate in map(as_object, as_list(payload.get("candidates"))):
            # Google's JSON omits an index of 0.
            if candidate.get("index", 0) in (0, None):
                written += self._candidate(candidate, answer)
            else:
                _alternative(candidate, answer)
        return written

    def _candidate(self, candidate: dict[str, Any], answer: Answer) -> str:
        if candidate.get("groundingMetadata"):
            note_search(answer)
        reason = as_text(candidate.get("finishReason"))
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            answer.ended = True
            ended(answer, reason, candidate.get("finishMessage"), BROKEN)
        # Most chunks have only the content and an index.
        if len(candidate) > 2:
            _sources(candidate, answer)
        written, before = "", answer.here
        for one in map(as_object, as_list(as_object(candidate.get("content")).get("parts"))):
            answer.here = before + len(written)
            if len(one) == 1 and "text" in one:  # the common case
                said = as_text(one["text"])
                written += answer.paragraph(said) if answer.apart else said
                answer.last = said or answer.last
            else:
                written += _part_of(one, answer)
        answer.here = before + len(written)
        return written


def _alternative(candidate: dict[str, Any], answer: Answer) -> None:
    """Store the text of a further candidate."""
    parts = map(as_object, as_list(as_object(candidate.get("content")).get("parts")))
    text = "".join(as_text(part.get("text")) for part in parts if not part.get("thought"))
    if isinstance(index := candidate.get("index"), int) and text:
        merge(answer, (ALTERNATIVE, index), {"type": ALTERNATIVE, "id": str(index), "text": text})


def _part_of(one: dict[str, Any], answer: Answer) -> str:
    """Return the text of a part; store other parts, with thoughts joined."""
    if one.get("thought"):
        answer.thinking = answer.thinking or bool(one.get("text"))
        last = answer.parts[-1] if answer.parts else {}
        merge(answer, ("thought", len(answer.parts) - 1 if last.get("thought") else len(answer.parts)), one)
        return ""
    if "functionCall" in one:
        called(answer)
        one = parts_google.identified(one, sum("functionCall" in part for part in answer.parts))
    if one.keys() - {"text", "thoughtSignature", "thought"}:
        answer.apart = answer.thinking = True
        merge(answer, len(answer.parts), one)
        return answer.paragraph(as_text(one.get("text")))
    said = answer.paragraph(as_text(one.get("text")))
    signature = one.get(parts_google.SIGNATURE)
    answer.begin_text({parts_google.SIGNATURE: signature} if signature else None)
    answer.here += len(said)
    answer.begin_text()  # what follows is another part
    return said


def _sources(candidate: dict[str, Any], answer: Answer) -> None:
    """Store a candidate's metadata: grounding, citations, URLs that were read."""
    for name in candidate.keys() - _META:
        if candidate[name]:
            merge(answer, name, {name: candidate[name]})
            answer.growing[name][name] = candidate[name]  # the last one is complete


def _tools(request: Request) -> dict[str, Any]:
    """Return the fields for tools: all functions are declared in one entry."""
    fields = tool_fields(request, _declaration, _choice, {name: _mode(name) for name in _MODES})
    declared = [one for one in fields.pop("tools", ()) if "name" in one]
    own = [dict(one) for one in request.tools if isinstance(one, Mapping)]
    if request.tools:
        fields["tools"] = [*([{"functionDeclarations": declared}] if declared else []), *own]
    if (choice := fields.pop("tool_choice", None)) is not None:
        fields["toolConfig"] = choice
    return fields


def _choices(request: Request) -> dict[str, Any]:
    """Return the fields for the chosen effort and service tier; a summary of the thoughts costs nothing."""
    fields: dict[str, Any] = {}
    if (level := effort_of(request, "google")) is not None:
        amount = {"thinkingBudget": level} if isinstance(level, int) else {"thinkingLevel": level.upper()}
        fields["thinkingConfig"] = {**amount, **({"includeThoughts": True} if level else {})}
    if (tier := tier_of(request, GoogleCodec.tiers)) is not None:
        fields["serviceTier"] = tier
    return fields


_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def _declaration(tool: Tool) -> dict[str, Any]:
    empty = not tool.parameters.get("properties")
    # The API refuses an object without properties.
    form = {} if empty else {"parametersJsonSchema": dict(tool.parameters)}
    # The API requires a description.
    return {"name": tool.name, "description": tool.description or tool.name, **form}


def _mode(name: str) -> dict[str, Any]:
    return {"functionCallingConfig": {"mode": _MODES[name]}}


def _choice(name: str) -> dict[str, Any]:
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}


def _turns(request: Request) -> list[dict[str, Any]]:
    """Return the conversation without its system prompt."""
    turns = [
        {"role": "model" if m.role == "assistant" else "user", "parts": parts}
        for m in request.messages
        if m.role != "system" and (parts := parts_google.contents(m))
    ]
    if not turns:
        raise InvalidRequestError("Gemini needs a user message besides the system prompt.")
    return turns


def _generation(request: Request, extra: dict[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    """Return the parameters for `generationConfig`."""
    config = {
        "temperature": None if request.temperature is None else float(request.temperature),
        "maxOutputTokens": request.max_tokens,
        **{name: value for name, value in extra.items() if name in _GENERATION},
    }
    if isinstance(config.get("stopSequences"), str):
        # OpenAI's `stop` may be a single string.
        config["stopSequences"] = [config["stopSequences"]]
    return {k: v for k, v in config.items() if v is not None and k not in dropped}


def _path(model: str) -> str:
    """Return a model's path."""
    if _ASTRAY.search(model):
        raise InvalidRequestError(
            f"{model!r:.80} is not a valid Gemini model name.",
            hint="Use a name like gemini-2.5-flash; %llm models google lists them.",
        )
    # Tuned models have a path of their own: tunedModels/NAME.
    return model if "/" in model else f"models/{model}"


def camel(name: str) -> str:
    """Return a name in Google's JSON spelling (camelCase).

    Example:
        >>> camel("top_p"), camel("topP")
        ('topP', 'topP')
    """
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
