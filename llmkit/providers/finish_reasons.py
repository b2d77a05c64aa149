"""Finish reasons: the servers' words and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.errors import StreamInterruptedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.core.errors import LLMClientError
    from llmkit.providers.codec import Answer

WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "stop", "end_turn", "stop_sequence", "stop_sequences", "eos", "eos_token", "complete",
            "completed", "end_of_text", "finished",
        ),
        "stop",
    ),
    **dict.fromkeys(
        (
            "length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit",
            "model_context_window_exceeded", "context_length_exceeded", "error_limit",
            "continuation",  # Gemini's limit of one request; another could continue
        ),
        "length",
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"), "tool_calls"),
    **dict.fromkeys(
        (
            "content_filter", "content_filtered", "content-filter", "sensitive", "safety", "recitation",
            "blocklist", "prohibited_content", "spii", "image_safety", "image_prohibited_content",
            "image_recitation", "model_armor", "guardrail_intervened", "moderation", "error_toxic",
        ),
        "content_filter",
    ),
}  # fmt: skip
"""Our word for each of theirs, in lower case; unlisted words are kept."""

BROKEN = frozenset(
    {
        "error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled", "canceled",
        "user_cancel", "failed", "failure", "timeout", "timed_out", "overloaded", "internal_error",
        "server_error", "model_error", "engine_error", "malformed_function_call", "malformed_model_output",
        "malformed_tool_use", "not_finished", "time_limit",
    }
)  # fmt: skip
"""Words for a failed answer, in lower case."""

_FAILING = ("_error", "_timeout", "_overloaded")
"""Suffixes of further words for a failed answer."""


def ended(answer: Answer, reason: str, message: Any = None, broken: frozenset[str] = BROKEN) -> None:
    """Store the finish reason."""
    word = reason.lower()
    # Gemini writes its words in capitals.
    answer.finish_reason = WORDS.get(word, word if reason.isupper() else reason)
    if word in broken or word.endswith(_FAILING):
        answer.broken = answer.broken or broken_off(word, message)
    elif answer.calls:
        called(answer)


def called(answer: Answer) -> None:
    """Note a tool call, because some servers still report `stop`."""
    answer.calls = True
    if answer.finish_reason == "stop":
        answer.finish_reason = "tool_calls"


def broken_off(word: str, message: Any = None) -> LLMClientError:
    """Return the error for an answer that the server reports as incomplete.

    Example:
        >>> broken_off("network_error").message
        'The server reported an incomplete answer (network_error).'
    """
    from llmkit.providers.error_mapping import error_details

    said = error_details(message).message.rstrip(".")
    more = f": {said}" if said else ""
    return StreamInterruptedError(f"The server reported an incomplete answer ({word:.40}){more}.")
