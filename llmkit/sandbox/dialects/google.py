"""Google's Gemini API: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import orjson

from llmkit.content.attachments import PDF
from llmkit.content.media import google_image
from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.dialects import google_parts
from llmkit.sandbox.dialects.dialect import (
    CONTEXT_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    Dialect,
    Frame,
    RefusedError,
    Route,
    Spare,
    pick,
    text_of,
    texts,
    whole_number,
)
from llmkit.sandbox.dialects.parts import at_address, decoded
from llmkit.sandbox.dialects.rate_headers import google_limited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkit.content.attachments import Attachment
    from llmkit.sandbox.conversation import Answer, Role, Tokens
    from llmkit.sandbox.dialects.dialect import Call, ProtocolName
    from llmkit.sandbox.rate_limits import Breach

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "assistant"}
_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TAKEN = ("image/png", "image/jpeg", "image/webp", PDF)
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "stop_sequence": "STOP", "tool_calls": "STOP"}
_RPC = "type.googleapis.com/google.rpc."
_VERSION = "/{version:v1(?:alpha|beta)?}"


def _part_list(content: Any) -> Any:
    return content.get("parts", []) if isinstance(content, dict) else content


def _turn(place: int, content: Any) -> Turn:
    where = f"contents[{place}]"
    if not isinstance(content, dict):
        raise RefusedError(
            400, f"Invalid value at '{where}' (type.googleapis.com/google.ai.generativelanguage.Content)"
        )
    role = content.get("role") or "user"
    if role not in _ROLES:
        raise RefusedError(400, "Please use a valid role: user, model.")
    parts = content.get("parts")
    if not parts:
        raise RefusedError(400, f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    media = tuple(one for one in (_part(part, f"{where}.parts[{n}]") for n, part in enumerate(parts)) if one)
    text = text_of([part for part in parts if not (isinstance(part, dict) and part.get("thought"))], where)
    return Turn(_ROLES[role], text, media, google_parts.calls(parts), google_parts.outcomes(parts))


def _part(part: Any, where: str) -> Attachment | None:
    """Read one part of a message; `None` for one of text."""
    fields = part if isinstance(part, dict) else {}
    google_parts.check_signature(fields, where)
    linked = pick(fields, "fileData")
    if isinstance(linked, dict) and str(pick(linked, "fileUri")).startswith(("http://", "https://")):
        return _linked(linked, f"{where}.file_data")
    inline = pick(fields, "inlineData")
    if inline is None:
        return None
    if not isinstance(inline, dict):
        raise RefusedError(400, f"Invalid value at '{where}.inline_data': expected an object.")
    data = inline.get("data")
    # JSON of protocol buffers may also use the URL-safe base64 alphabet.
    data = data.replace("-", "+").replace("_", "/") if isinstance(data, str) else data
    return decoded(pick(inline, "mimeType"), data, f"{where}.inline_data", taken=_TAKEN)


def _linked(linked: dict[str, Any], where: str) -> Attachment:
    """Record a file that is given by its address."""
    taken = (PDF,) if pick(linked, "mimeType") == PDF else _TAKEN
    return at_address(pick(linked, "fileUri"), where, taken=taken)


def _turns(body: Mapping[str, Any], *, thinks: bool) -> tuple[Turn, ...]:
    contents = body.get("contents")
    contents = [contents] if isinstance(contents, dict) else contents
    if not isinstance(contents, list) or not contents:
        raise RefusedError(400, "* GenerateContentRequest.contents: contents is not specified")
    system = text_of(_part_list(pick(body, "systemInstruction")), "systemInstruction")
    first = (Turn("system", system),) if system else ()
    turns = [_turn(place, content) for place, content in enumerate(contents)]
    google_parts.check_order(turns)
    if thinks:
        google_parts.check_signed(turns, contents)
    return (*first, *turns)


def _usage(tokens: Tokens | None, *, text: int) -> dict[str, Any]:
    """Return the token counts up to a chunk; the candidates' tokens exclude the thoughts."""
    if tokens is None:
        return {}
    usage: dict[str, Any] = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": text,
        "totalTokenCount": tokens.input + text + tokens.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.input}],
    }
    if tokens.cached:
        usage["cachedContentTokenCount"] = tokens.cached
    if tokens.image and text > tokens.text:
        usage["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": tokens.image}]
    if tokens.reasoning:
        usage["thoughtsTokenCount"] = tokens.reasoning
    return {"usageMetadata": usage}


def _chunk(answer: Answer, parts: list[dict[str, Any]], *, sent: int, last: bool = False) -> dict[str, Any]:
    given = {"parts": parts} if parts else {}
    candidate: dict[str, Any] = {"content": {**given, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = answer.finish_word or _FINISH[answer.finish]
        candidate |= google_parts.grounding(answer)
    return {
        "candidates": [candidate],
        **_usage(answer.tokens, text=sent),
        "modelVersion": answer.model,
        "responseId": answer.id,
    }


def _whole(answer: Answer) -> int:
    """Return the tokens of all candidates."""
    return answer.tokens.text + answer.tokens.image if answer.tokens else 0


def _chunks(ask: Ask, answer: Answer) -> Iterator[tuple[dict[str, Any], Literal["text", "close"]]]:
    """Yield the chunks of a stream, and their kinds."""
    for piece in answer.thoughts if ask.shows_thoughts else ():
        yield _chunk(answer, [{"text": piece, "thought": True}], sent=0), "text"
    for place, piece in enumerate(answer.pieces, 1):
        yield _chunk(answer, [{"text": piece}], sent=place), "text"
    for part in google_parts.after_text(answer):
        yield _chunk(answer, [part], sent=_whole(answer)), "text"
    signature = google_parts.text_signature(answer)
    parts = [{"text": "", **signature}] if signature else []
    yield _chunk(answer, parts, sent=_whole(answer), last=True), "close"


def _sse(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\r\n\r\n"


def _check_format(settings: Mapping[str, Any]) -> None:
    """Refuse a schema without the JSON media type, as the API does."""
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if pick(settings, name) is not None]
    if len(schemas) > 1:
        raise RefusedError(400, "Only one of response_schema and response_json_schema can be set.")
    if schemas and pick(settings, "responseMimeType") not in {"application/json", "text/x.enum"}:
        where = "* GenerateContentRequest.generation_config.response_schema"
        raise RefusedError(400, f"{where}: only allowed with response mime type application/json")


class GoogleDialect(Dialect):
    """Requests and answers of `:generateContent`, `:streamGenerateContent`, `:countTokens` and `models`."""

    name: ClassVar[ProtocolName] = "google"
    request_id_header = "x-request-id"
    routes = (
        Route("POST", _VERSION + "/models/{model}:generateContent", "generate"),
        Route("POST", _VERSION + "/models/{model}:streamGenerateContent", "stream"),
        Route("POST", _VERSION + "/models/{model}:countTokens", "count"),
        Route("GET", _VERSION + "/models", "models"),
        Route("GET", _VERSION + "/models/{model}", "model"),
    )

    def key(self, call: Call) -> str:
        """See `Dialect.key`."""
        return call.headers.get("x-goog-api-key", call.query.get("key", "")).strip()

    def settings(self, call: Call) -> Mapping[str, Any]:
        """See `Dialect.settings`."""
        return pick(call.body, "generationConfig") or {}

    def read(self, call: Call) -> Ask:
        """See `Dialect.read`."""
        body = call.body
        if call.action == "count":
            body = pick(body, "generateContentRequest") or body
        settings = self.settings(call)
        _check_format(settings)
        functions, searches = google_parts.functions(body.get("tools"))
        effort, shown = google_parts.thinking(settings, call.model)
        modalities = [str(one).upper() for one in pick(settings, "responseModalities") or ()]
        return Ask(
            model=call.model,
            turns=_turns(body, thinks=bool(effort)),
            stream=call.action == "stream",
            sse=call.query.get("alt") == "sse",
            max_tokens=whole_number(pick(settings, "maxOutputTokens"), "maxOutputTokens"),
            stop=texts(pick(settings, "stopSequences")),
            wants_json=pick(settings, "responseMimeType") == "application/json",
            schema=pick(settings, "responseSchema") or pick(settings, "responseJsonSchema"),
            image_tokens=google_image,
            functions=functions,
            choice=google_parts.choice(pick(body, "toolConfig")),
            searches=searches,
            draws="IMAGE" in modalities,
            effort=effort,
            shows_thoughts=shown,
        )

    def body(self, ask: Ask, answer: Answer) -> dict[str, Any]:
        """See `Dialect.body`."""
        parts: list[dict[str, Any]] = []
        if answer.thoughts and ask.shows_thoughts:
            parts.append({"text": answer.thought, "thought": True})
        if answer.pieces:
            parts.append({"text": answer.text, **google_parts.text_signature(answer)})
        parts += google_parts.after_text(answer)
        return _chunk(answer, parts, sent=_whole(answer), last=True)

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        """See `Dialect.frames`."""
        if ask.sse:
            yield from (Frame(_sse(chunk), kind) for chunk, kind in _chunks(ask, answer))
            return
        # The array opens with the first chunk, so that "[" alone is never on the wire.
        before = b"["
        for chunk, kind in _chunks(ask, answer):
            yield Frame(before + orjson.dumps(chunk) + (b"]" if kind == "close" else b""), kind)
            before = b",\r\n"

    def spare(self, ask: Ask) -> Spare:
        """See `Dialect.spare`."""
        problem = self.error(self.overloaded())
        broken = b'{"candidates":[{"content":{"parts":[{"text":"'
        if ask.sse:
            return Spare(b"data: " + broken + b"\r\n\r\n", _sse(problem), b": keep-alive\r\n\r\n")
        return Spare(b",\r\n" + broken + b"\r\n", b",\r\n" + orjson.dumps(problem) + b"]", b"\r\n")

    def count(self, tokens: int) -> dict[str, Any]:
        """See `Dialect.count`."""
        return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}

    def model(self, name: str) -> dict[str, Any]:
        """See `Dialect.model`."""
        return {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name.replace("-", " ").title(),
            "description": "A simulated model on this machine.",
            "inputTokenLimit": CONTEXT_TOKENS,
            "outputTokenLimit": OUTPUT_TOKENS,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 2,
        }

    def models(self) -> dict[str, Any]:
        """See `Dialect.models`."""
        return {"models": [self.model(name) for name in MODELS]}

    def error(self, refused: RefusedError) -> dict[str, Any]:
        """See `Dialect.error`."""
        fallback = "INTERNAL" if refused.status >= 500 else "INVALID_ARGUMENT"
        status = refused.code or _STATUSES.get(refused.status, fallback)
        error: dict[str, Any] = {"code": refused.status, "message": refused.message, "status": status}
        details = list(refused.details)
        if (wait := refused.retry_after) and wait.replace(".", "", 1).isdigit():
            details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{wait}s"})
        return {"error": error | ({"details": details} if details else {})}

    def limited(self, model: str, breach: Breach) -> RefusedError:
        """See `Dialect.limited`."""
        return google_limited(model, breach)

    def invalid_key(self) -> RefusedError:
        """See `Dialect.invalid_key`."""
        return RefusedError(
            400,
            "API key not valid. Please pass a valid API key.",
            details=({"@type": f"{_RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},),
        )

    def overloaded(self) -> RefusedError:
        """See `Dialect.overloaded`."""
        return RefusedError(503, "The model is overloaded. Please try again later.")

    def unknown_model(self, name: str) -> RefusedError:
        """See `Dialect.unknown_model`."""
        message = (
            f"models/{name} is not found for API version v1beta, or is not supported for generateContent."
        )
        return RefusedError(404, message)

    def unsupported(self, parameter: str) -> RefusedError:
        """See `Dialect.unsupported`."""
        where = "'generation_config': Cannot find field."
        return RefusedError(400, f'Invalid JSON payload received. Unknown name "{parameter}" at {where}')
