"""The chat's header: who is asked, how much of the context is used, what it all costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.money import NANO, format_money, to_nanos
from llmkit.notebook.display.footer import is_about, lacks_price
from llmkit.notebook.model_list import context_window
from llmkit.notebook.tools.steps import Called

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.chat.conversation import Conversation, Node


def shown_cost(talk: Conversation) -> float:
    """Return the sum that the header shows, in US dollars.

    Simulated answers count as long as no real one cost anything.
    """
    return _sum(_counted(_responses(talk)))


def spent(talk: Conversation) -> float:
    """Return what the answers of all branches cost, in US dollars; simulated ones cost nothing."""
    return _sum(response for response in _responses(talk) if not response.simulated)


def context_form(talk: Conversation) -> dict[str, Any]:
    """Return what the meter of the context shows: tokens of the last call, and the model's window."""
    last = next(filter(None, map(_last_response, reversed(talk.branch))), None)
    if last is None:
        return {"tokens": None, "window": None}
    return {"tokens": last.tokens_used, "window": context_window(last.provider, last.model)}


def _last_response(node: Node) -> LLMResponse | None:
    """Return the last response of a message; `response` has the sums of a run with tools."""
    steps = [one for one in node.events if not isinstance(one, Called)]
    return steps[-1] if node.response is not None and steps else node.response


def money_form(talk: Conversation, budget: float | None) -> dict[str, Any]:
    """Return what the header shows of money.

    As long as no real answer cost anything, it is what the simulated ones would have cost.
    """
    responses = _responses(talk)
    real = [response for response in responses if not response.simulated]
    counted = _counted(responses)
    unknown = any(map(lacks_price, counted))
    return {
        "cost": format_money(_sum(counted), about=any(map(is_about, counted))) + (" + $?" if unknown else ""),
        "budget": None if budget is None else format_money(budget),
        "share": _sum(real) / budget if budget else None,
        "simulated": any(response.simulated for response in counted),
    }


def _counted(responses: list[LLMResponse]) -> list[LLMResponse]:
    """Return the real answers if one of them cost something, or may have; else all."""
    real = [response for response in responses if not response.simulated]
    paid = any(one.cost_estimate or lacks_price(one) for one in real)
    return real if paid else responses


def _responses(talk: Conversation) -> list[LLMResponse]:
    return [node.response for node in talk if node.response is not None]


def _sum(responses: Iterable[LLMResponse]) -> float:
    return sum(to_nanos(response.cost_estimate or 0.0) for response in responses) / NANO
