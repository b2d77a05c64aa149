"""OpenAI's `POST /decisions`; the format is that of the types in its SDK (3.57)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.sandbox.conversation import Ask, Turn
from llmkit.sandbox.decisions.judgement import expected, is_refused, probabilities, text_of, truth
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.endpoints import Endpoint, Sent
from llmkit.sandbox.pieces import count

if TYPE_CHECKING:
    from llmkit.sandbox.endpoints import Incoming

_MODELS = ("gpt-6-luna", "sandbox")
_MOST_QUESTIONS = 400
_MOST_OPTIONS = 255


def _decide(incoming: Incoming) -> Sent:
    body = incoming.body
    model = incoming.model
    if not model.startswith(_MODELS):
        text = f"The model '{model}' is not supported with the Decisions API."
        raise RefusedError(400, text, code="model_not_supported", param="model")
    subject = text_of(body.get("input"), "input")
    questions = body.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= _MOST_QUESTIONS:
        text = f"Invalid 'questions': expected an array with 1 to {_MOST_QUESTIONS} items."
        raise RefusedError(400, text, code="invalid_value", param="questions")
    asked = [_instructions(question, f"questions[{place}]") for place, question in enumerate(questions)]
    incoming.admit(Ask(model=model, turns=(Turn("user", "\n".join([subject, *asked])),)))
    answers = [
        _answer(question, f"questions[{place}]", said, subject)
        for place, (question, said) in enumerate(zip(questions, asked, strict=True))
    ]
    return Sent({"model": model, "answers": answers, "usage": _usage(count("\n".join([subject, *asked])))})


def _instructions(question: Any, where: str) -> str:
    if not isinstance(question, dict) or not question.get("instructions"):
        text = f"Missing required parameter: '{where}.instructions'."
        raise RefusedError(400, text, code="missing_required_parameter", param=f"{where}.instructions")
    return text_of(question["instructions"], f"{where}.instructions")


def _answer(question: dict[str, Any], where: str, said: str, subject: str) -> dict[str, Any]:
    kind, name = question.get("type"), question.get("name")
    if kind not in {"predicate", "choice", "score"}:
        text = f"Invalid value: '{kind}'. Supported values are: 'predicate', 'choice', and 'score'."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.type")
    if is_refused(said):
        return {"type": "refusal", "name": name}
    if kind == "predicate":
        return {"type": kind, "name": name, "probability": truth(subject)}
    if kind == "choice":
        values = _options(question, "choices", "value", where)
        chances = probabilities(values, subject)
        best = max(chances)
        listed = [
            {"value": value, "probability": chance} for value, chance in zip(values, chances, strict=True)
        ]
        answer = {"choice": values[chances.index(best)], "confidence": best, "probabilities": listed}
    else:
        labels = _options(question, "levels", "label", where)
        chances = probabilities(labels, subject)
        listed = [
            {"value": level, "label": label, "probability": chance}
            for level, (label, chance) in enumerate(zip(labels, chances, strict=True))
        ]
        answer = {"score": expected(chances), "confidence": max(chances), "probabilities": listed}
    return {"type": kind, "name": name, **answer}


def _options(question: dict[str, Any], field: str, key: str, where: str) -> list[Any]:
    given = question.get(field)
    values = [one.get(key) for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    typed = {(type(value), value) for value in values if isinstance(value, (str, bool))}
    if not 2 <= len(values) <= _MOST_OPTIONS or len(typed) < len(values):
        text = f"Invalid '{where}.{field}': expected 2 to {_MOST_OPTIONS} different options."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.{field}")
    return values


def _usage(tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens,
    }


ENDPOINTS = (Endpoint("POST", "/decisions", _decide),)
"""The route below OpenAI's base URL."""
