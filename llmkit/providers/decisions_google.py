"""Google's Decisions API, `POST /v1beta/decisions`; the format is that of the types in its SDK (3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import google_image
from llmkit.content.messages import Usage
from llmkit.core.errors import BadResponseError
from llmkit.providers.decisions import (
    QUESTIONS,
    DecisionsCodec,
    asked,
    finished,
    leveled,
    number,
    plain_text,
    yes_no,
)
from llmkit.providers.json_fields import as_name, as_object, as_text, lenient_object, loads, token_count
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from llmkit.providers.codec import Answer, Request
    from llmkit.providers.decisions import DecisionQuestion, DecisionQuestions


class GoogleDecisionsCodec(DecisionsCodec):
    """The wire format: a dict of questions, and one feedback for a request that was blocked.

    Args:
        request: The request whose answer is decoded, because an answer names neither model nor levels.
    """

    sandbox: ClassVar[str] = "google"
    image_tokens = staticmethod(google_image)

    def __init__(self, request: Request) -> None:
        self._model = request.model
        self._questions: DecisionQuestions = asked(request)

    def encode(self, request: Request) -> WireRequest:
        """See `Codec.encode`."""
        said = "\n\n".join(filter(None, map(plain_text, request.messages)))
        questions = {one.name: _question(one) for one in self._questions}
        model = f"models/{request.model.removeprefix('models/')}"
        body = {"model": model, "input": said, QUESTIONS: questions}
        return WireRequest(path="/v1beta/decisions", body=body)

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """See `Codec.decode_body`."""
        found = as_object(loads(body))
        answer.report, answer.read = lenient_object(found.get("usage")), _usage
        answers = as_object(found.get("answers"))
        if as_object(found.get("prompt_feedback")):
            decided: dict[str, Any] = {one.name: {"refused": True} for one in self._questions}
        else:
            decided = {one.name: _decided(one, as_object(answers.get(one.name))) for one in self._questions}
        return finished(answer, self._model, decided)


def _question(question: DecisionQuestion) -> dict[str, Any]:
    base = {"instructions": question.instruction}
    if question.kind == "yes_no":
        return {"type": "noul", **base}
    if question.kind == "choice":
        return {"type": "choice", **base, "criteria": dict(question.options)}
    levels = [f"{label}: {text}" if text else label for label, text in question.options.items()]
    return {"type": "score", **base, "criteria": levels}


def _decided(question: DecisionQuestion, found: dict[str, Any]) -> dict[str, Any]:
    kind = as_name(found.get("type"))
    if kind == "noul":
        return yes_no(number(found.get("noul")))
    shares = as_object(found.get("probabilities"))
    if kind == "choice":
        chosen = as_text(found.get("choice"))
        each = {name: number(share) for name, share in shares.items()}
        return {"value": chosen, "p": each.get(chosen), "probabilities": each}
    if kind == "score":
        levels = {int(level): number(share) for level, share in shares.items() if level.isdecimal()}
        return leveled(list(question.options), levels, found.get("score"))
    raise BadResponseError(f"The question {question.name!r} has no answer.")


def _usage(report: dict[str, Any]) -> Usage:
    written, thought = (
        token_count(report.get("total_output_tokens")),
        token_count(report.get("total_thought_tokens")),
    )
    return Usage(
        input_tokens=token_count(report.get("total_input_tokens")),
        output_tokens=(written or 0) + (thought or 0),
        reasoning_tokens=thought,
        cache_read_tokens=token_count(report.get("total_cached_tokens")),
    )
