"""What the fake server answers, byte for byte, and what it means: the documented frames of three APIs.

Sources: OpenAI, "Create chat completion" and "The chat completion chunk object"; Anthropic, "Streaming
Messages"; Gemini API, "generateContent" and "streamGenerateContent".
"""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import Any, NamedTuple

CHUNKS = 2_000
INPUT = 1_024
PLAIN_OUTPUT = 60
MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-5-5", "google": "gemini-2.5-flash"}

_SENTENCE = "The quick brown fox — “as they say” — jumps over the lazy dog; naïve, isn't it?\n"


class Reply(NamedTuple):
    """What every contestant has to find in an answer."""

    text: str
    input_tokens: int
    output_tokens: int


PIECES = [f"{word} " for word in islice(cycle(_SENTENCE.split(" ")), CHUNKS)]
PLAIN = Reply("".join(PIECES[:PLAIN_OUTPUT]), INPUT, PLAIN_OUTPUT)
BURST = Reply("".join(PIECES), INPUT, CHUNKS)


def documents() -> dict[str, bytes]:
    """Return each provider's whole answer."""
    return {
        "openai": _json(_completion()),
        "anthropic": _json(_message([{"type": "text", "text": PLAIN.text}], "end_turn", PLAIN_OUTPUT)),
        "google": _json(_generated(PLAIN.text, PLAIN_OUTPUT, last=True)),
    }


def streams() -> dict[str, list[bytes]]:
    """Return each provider's answer as server-sent events."""
    return {
        "openai": [b"data: " + _json(chunk) + b"\n\n" for chunk in _completion_chunks()]
        + [b"data: [DONE]\n\n"],
        "anthropic": [
            f"event: {event['type']}\n".encode() + b"data: " + _json(event) + b"\n\n"
            for event in _message_events()
        ],
        "google": [
            b"data: " + _json(_generated(piece, n, last=n == CHUNKS)) + b"\r\n\r\n"
            for n, piece in enumerate(PIECES, 1)
        ],
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _completion_usage(output: int) -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT,
        "completion_tokens": output,
        "total_tokens": INPUT + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


_COMPLETION = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "created": 1_796_000_000,
    "model": MODELS["openai"],
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
}


def _completion() -> dict[str, Any]:
    message = {"role": "assistant", "content": PLAIN.text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = _completion_usage(PLAIN_OUTPUT)
    return _COMPLETION | {"object": "chat.completion", "choices": [choice], "usage": usage}


def _completion_chunks() -> list[dict[str, Any]]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return start | {"choices": [choice], "usage": None, "obfuscation": "aB3dE6gH9"}

    start = _COMPLETION | {"object": "chat.completion.chunk"}
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": piece}) for piece in PIECES),
        chunk({}, "stop"),
        start | {"choices": [], "usage": _completion_usage(CHUNKS), "obfuscation": ""},
    ]


def _message(content: list[Any], reason: str | None, output: int) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODELS["anthropic"],
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
            "service_tier": "standard",
        },
    }


def _message_events() -> list[dict[str, Any]]:
    usage = {
        "input_tokens": INPUT,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": CHUNKS,
    }
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": _message([], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in PIECES
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": usage},
        {"type": "message_stop"},
    ]


def _generated(text: str, output: int, *, last: bool) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": "STOP"} if last else {})],
        "usageMetadata": {
            "promptTokenCount": INPUT,
            "candidatesTokenCount": output,
            "totalTokenCount": INPUT + output,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": INPUT}],
        },
        "modelVersion": MODELS["google"],
        "responseId": "a8K1aJbxE9nVz7IPg8C5-Qo",
    }
