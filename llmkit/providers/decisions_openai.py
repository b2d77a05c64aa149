"""OpenAI's Decisions API, `POST /decisions`; the format is that of the types in its SDK (3.57)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.content.media import openai_image
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
from llmkit.providers.json_fields import as_list, as_name, as_object, as_text, lenient_object, loads
from llmkit.providers.usage_openai import read_usage
from llmkit.transport.base import WireRequest

if TYPE_CHECKING:
    from llmkit.providers.codec import Answer, Request
    from llmkit.providers.decisions import DecisionQuestion


class OpenAIDecisionsCodec(DecisionsCodec):
    """The wire format: a list of questions, each with an answer or a refusal of its own."""

    sandbox: ClassVar[str] = "openai"
    image_tokens = staticmethod(openai_image)

    def encode(self, request: Request) -> WireRequest:
        """See `Codec.encode`."""
        said = [{"role": one.role, "content": plain_text(one)} for one in request.messages]
        body = {"model": request.model, "input": said, QUESTIONS: [*map(_question, asked(request))]}
        return WireRequest(path="/decisions", body=body)

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """See `Codec.decode_body`."""
        found = as_object(loads(body))
        answer.report, answer.read = lenient_object(found.get("usage")), read_usage
        answers = map(as_object, as_list(found.get("answers")))
        decided = {as_text(one.get("name")): _decided(one) for one in answers}
        return finished(answer, as_text(found.get("model")), decided)


def _question(question: DecisionQuestion) -> dict[str, Any]:
    base = {"name": question.name, "instructions": question.instruction}
    if question.kind == "yes_no":
        return {"type": "predicate", **base}
    field, key = ("choices", "value") if question.kind == "choice" else ("levels", "label")
    options = [
        {key: label, **({"description": text} if text else {})} for label, text in question.options.items()
    ]
    return {"type": question.kind, **base, field: options}


def _decided(found: dict[str, Any]) -> dict[str, Any]:
    kind = as_name(found.get("type"))
    if kind == "refusal":
        return {"refused": True}
    if kind == "predicate":
        return yes_no(number(found.get("probability")))
    listed = [as_object(one) for one in as_list(found.get("probabilities"))]
    if kind == "choice":
        shares = {str(one.get("value")): number(one.get("probability")) for one in listed}
        chosen = str(found.get("choice"))
        return {"value": chosen, "p": shares.get(chosen), "probabilities": shares}
    if kind == "score":
        labels = [as_text(one.get("label")) for one in listed]
        levels = {level: number(one.get("probability")) for level, one in enumerate(listed)}
        return leveled(labels, levels, found.get("score"))
    raise BadResponseError(f"The answer has the unknown type {kind!r}.")
