"""Google's `POST /v1beta/decisions`; the format is that of the types in its SDK (3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.decisions.judgement import expected, is_refused, probabilities, text_of, truth
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.endpoints import Endpoint, Sent
from llmkit.sandbox.pieces import count

if TYPE_CHECKING:
    from llmkit.sandbox.endpoints import Incoming

_MODELS = ("gemini-decision-1", "sandbox")
_MOST_OPTIONS = 255


def _decide(incoming: Incoming) -> Sent:
    body = incoming.body
    model = incoming.model.removeprefix("models/")
    if not model.startswith(_MODELS):
        raise RefusedError(404, f"models/{model} is not found, or is not supported for decisions.")
    subject = text_of(body.get("input"), "input")
    questions = body.get("questions")
    if not isinstance(questions, dict) or not questions:
        raise RefusedError(400, "* CreateDecisionRequest.questions: questions is not specified")
    asked = {name: _instructions(question, name) for name, question in questions.items()}
    whole = "\n".join([subject, *asked.values()])
    incoming.admit(Ask(model=model, turns=(Turn("user", whole),)))
    usage = _usage(count(whole))
    # One feedback for the whole request: a single blocked question leaves no answer at all.
    if any(map(is_refused, asked.values())):
        feedback = {"block_reason": "safety", "block_reason_message": "The input was blocked."}
        return Sent({"prompt_feedback": feedback, "usage": usage})
    answers = {name: _answer(question, name, subject) for name, question in questions.items()}
    return Sent({"answers": answers, "usage": usage})


def _instructions(question: Any, name: str) -> str:
    if not isinstance(question, dict) or not question.get("instructions"):
        raise RefusedError(400, f"* CreateDecisionRequest.questions[{name}].instructions: must not be empty.")
    return text_of(question["instructions"], name)


def _answer(question: dict[str, Any], name: str, subject: str) -> dict[str, Any]:
    kind, criteria = question.get("type"), question.get("criteria")
    if kind == "noul":
        yes = truth(subject)
        return {"type": kind, "noul": yes, "confidence": max(yes, round(1 - yes, 6))}
    if kind not in {"choice", "score"}:
        raise RefusedError(400, f"* CreateDecisionRequest.questions[{name}]: unknown type {kind}.")
    if not isinstance(criteria, (dict, list)) or not 2 <= len(criteria) <= _MOST_OPTIONS:
        text = f"* CreateDecisionRequest.questions[{name}].criteria: 2 to {_MOST_OPTIONS} are required."
        raise RefusedError(400, text)
    options = list(criteria)
    chances = probabilities(options, subject)
    best = max(chances)
    if kind == "choice":
        chosen = options[chances.index(best)]
        by_option = dict(zip(options, chances, strict=True))
        return {"type": kind, "choice": chosen, "confidence": best, "probabilities": by_option}
    return {
        "type": kind,
        "score": expected(chances),
        "confidence": best,
        "probabilities": {str(level): chance for level, chance in enumerate(chances)},
        "legend": {str(level): description for level, description in enumerate(options)},
    }


def _usage(tokens: int) -> dict[str, Any]:
    return {
        "total_input_tokens": tokens,
        "input_tokens_by_modality": [{"modality": "text", "tokens": tokens}],
        "total_output_tokens": 0,
        "total_cached_tokens": 0,
        "total_thought_tokens": 0,
        "total_tool_use_tokens": 0,
        "total_tokens": tokens,
    }


ENDPOINTS = (Endpoint("POST", "/{version:v1(?:alpha|beta)?}/decisions", _decide),)
"""The route below Google's base URL."""
