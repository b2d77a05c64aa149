"""Questions with fixed answers, and the answers of the Decisions APIs.

A request with `questions` goes to the provider's Decisions API: `Codec.chosen` returns its format. The text
of the response is JSON: for each question its `value` and the probability `p` of it, the `probabilities` of
all options, and for a score the expected level; or `{"refused": true}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.providers.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.messages import LLMMessage
    from llmkit.providers.codec import Answer, Request

QUESTIONS = "questions"
"""The parameter of a call that has the questions."""

MODEL = "-decisions"
"""End of the name under which a model's decisions have a price of their own in the catalogue."""


class DecisionQuestion(NamedTuple):
    """One question about an input.

    Attributes:
        name: Its name.
        kind: `"yes_no"`, `"choice"` (one of some options) or `"score"` (one of some levels, from the lowest).
        instruction: The question.
        options: Labels of the options or levels, with descriptions or `""`.
    """

    name: str
    kind: Literal["yes_no", "choice", "score"]
    instruction: str
    options: Mapping[str, str] = {}


class DecisionQuestions(tuple[DecisionQuestion, ...]):
    """The questions of one request."""

    __slots__ = ()


def questions_of(request: Request) -> DecisionQuestions | None:
    """Return the questions of a request that goes to a Decisions API; a list is a parameter like others."""
    found = request.extra.get(QUESTIONS)
    return found if isinstance(found, DecisionQuestions) else None


class DecisionsCodec(Codec):
    """What the formats of all Decisions APIs have in common: nothing is streamed."""

    def decode(self, data: bytes, answer: Answer) -> str:
        """See `Codec.decode`; these APIs do not stream."""
        return self.decode_body(data, answer)


def asked(request: Request) -> DecisionQuestions:
    """Return the questions of a request.

    Raises:
        InvalidRequestError: If it has none, or is to be streamed.
    """
    found = questions_of(request)
    if not found or request.stream:
        raise InvalidRequestError("A Decisions API answers questions, and does not stream.")
    return found


def plain_text(message: LLMMessage) -> str:
    """Return the text of a message.

    Raises:
        InvalidRequestError: If it has attachments.
    """
    if message.attachments:
        raise InvalidRequestError(
            "Attachments cannot be sent to a Decisions API.", hint="Ask without probabilities."
        )
    return message.content


def finished(answer: Answer, request_model: str, decided: Mapping[str, Any]) -> str:
    """Complete an answer, and return its text."""
    answer.model = f"{request_model}{MODEL}"
    refused = bool(decided) and all(one.get("refused") for one in decided.values())
    answer.finish_reason = "refusal" if refused else "stop"
    answer.ended = True
    return orjson.dumps(decided).decode()


def yes_no(probability: float) -> dict[str, Any]:
    """Return the answer to a question of yes or no.

    Example:
        >>> yes_no(0.25)
        {'value': False, 'p': 0.75, 'probabilities': {'true': 0.25, 'false': 0.75}}
    """
    value = probability >= 0.5
    no = round(1 - probability, 9)
    shares = {"true": probability, "false": no}
    return {"value": value, "p": probability if value else no, "probabilities": shares}


def leveled(labels: list[str], shares: Mapping[int, float], score: Any) -> dict[str, Any]:
    """Return the answer to a score, whose value is the likeliest level."""
    if not shares or not set(shares) <= set(range(len(labels))):
        raise BadResponseError("The answer has no probabilities of the levels.")
    best = max(shares, key=lambda level: shares[level])
    named = {labels[level]: share for level, share in sorted(shares.items())}
    return {"value": labels[best], "p": shares[best], "probabilities": named, "score": number(score)}


def number(value: Any) -> float:
    """Return a number of an answer.

    Raises:
        BadResponseError: If it is none.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadResponseError(f"The answer has {value!r:.40} where a number belongs.")
    return float(value)
