"""`decide`: typed answers with probabilities, from a provider's Decisions API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.clients.engine.engine import ProviderClient
from llmkit.core import catalog
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.decisions import DecisionQuestion, DecisionQuestions
from llmkit.providers.json_fields import loads
from llmkit.transport.aiohttp import DirectTransport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.clients.base import BaseLLMClient
    from llmkit.content.messages import LLMMessage, LLMResponse

MOST_TOKENS = 16
"""Maximum output that is reserved: the APIs charge none."""


class Decision(NamedTuple):
    """The answer to one question.

    Attributes:
        value: `True` or `False`, or the label of an option or a level; `None` if the question was refused.
        p: Probability of the value.
        probabilities: Probability of each option, by its label; of yes and no as `"true"` and `"false"`.
        score: Expected level of a score, from 0.
        refused: Whether the model refused the question.
    """

    value: bool | str | None
    p: float | None = None
    probabilities: Mapping[str, float] = {}
    score: float | None = None
    refused: bool = False


class Decisions(NamedTuple):
    """The answers to the questions of one request, and the response with its tokens and price."""

    answers: Mapping[str, Decision]
    response: LLMResponse


def has_decisions(client: BaseLLMClient, model: str | None = None) -> bool:
    """Whether a model answers at a Decisions API that a client can reach.

    Example:
        >>> from llmkit.clients.openai import OpenAIClient
        >>> has_decisions(OpenAIClient("k", model="gpt-6-luna")), has_decisions(OpenAIClient("k"), "gpt-4o")
        (True, False)
    """
    if not isinstance(client, ProviderClient):
        return False
    known = catalog.providers().get(client.provider_name)
    direct = isinstance(client.endpoint.transport, DirectTransport)
    return direct and known is not None and catalog.matches(model or client.default_model(), known.decisions)


async def decide(
    client: BaseLLMClient,
    messages: list[LLMMessage],
    questions: Iterable[DecisionQuestion],
    model: str | None = None,
) -> Decisions:
    """Ask questions with fixed answers about an input.

    Args:
        client: A client with a Decisions API; see `has_decisions`.
        messages: The input.
        questions: The questions, with different names.
        model: The model; by default the client's.

    Returns:
        The answers by the names of their questions, and the response.

    Raises:
        InvalidRequestError: If there is no such API.
        LLMClientError: If there is no answer; a refused question is not an error.
    """
    if not has_decisions(client, model):
        raise InvalidRequestError(
            f"{client.provider_name}:{model or getattr(client, 'model', None)} has no Decisions API.",
            hint="Ask without probabilities, or use openai:gpt-6-luna or google:gemini-decision-1.",
        )
    asked = DecisionQuestions(questions)
    response = await client.generate_text(messages, model, max_tokens=MOST_TOKENS, questions=asked)
    found = loads(response.content.encode())
    answers = {name: _decision(values) for name, values in found.items()}
    return Decisions(answers, response)


def _decision(values: Mapping[str, Any]) -> Decision:
    return Decision(**{"value": None, **values})
