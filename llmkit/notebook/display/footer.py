"""The line under an answer: which model, how many tokens, how long, how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from llmkit.content.parts import Citation, Media, Reasoning, Text, ToolCall
from llmkit.core.money import format_money
from llmkit.costs.price_rules import inexact, may_cost
from llmkit.notebook.display.markdown.tex import UNTOUCHED
from llmkit.notebook.display.plain_text import plain
from llmkit.providers.raw_parts import sentence

if TYPE_CHECKING:
    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.tools.stream import ToolStream
    from llmkit.records import CallStatus

SIMULATED = "simulated"

_ENDINGS = {
    "cancelled": "⏹ stopped",
    "interrupted": "⚠ cut off: the answer is incomplete",
    "error": "⚠ failed: the answer is incomplete",
}
_SHOWN = (Text, Reasoning, Citation, Media, ToolCall)
"""Parts that stand beside the text, so that no note has to say that they came."""

_FINISHES = {
    "length": "stopped at max tokens",
    "content_filter": "stopped by the provider's content filter",
    "refusal": "refused by the model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What stands under an answer.

    Example:
        >>> str(Footer(facts=("sonnet", "3.4 s"), warning="stopped at max tokens"))
        'sonnet · 3.4 s · stopped at max tokens'
    """

    facts: tuple[str, ...] = ()  # model, tokens, seconds, cost
    warning: str = ""  # shown in amber
    note: str = ""  # on a line of its own

    def __str__(self) -> str:
        line = " · ".join([*self.facts, *filter(None, [self.warning])])
        return "\n".join(filter(None, [line, self.note]))

    @property
    def html(self) -> str:
        """The footer as HTML, for `llmkit.notebook.display.markdown.render.page`."""
        facts = [escape(plain(fact)) for fact in self.facts]
        if self.warning:
            facts.append(f'<span class="llmkit-warn">{escape(plain(self.warning))}</span>')
        lines = [" · ".join(facts), escape(plain(self.note))]
        line = "<br>".join(filter(None, lines))
        return f'<div class="llmkit-footer {UNTOUCHED}"><small>{line}</small></div>' if line else ""


NO_FOOTER = Footer()


def build_footer(
    response: LLMResponse,
    *,
    label: str | None = None,
    session_cost: float | None = None,
    estimated: bool = False,
    status: CallStatus = "ok",
    note: str = "",
) -> Footer:
    """Build the footer of one answer.

    Example:
        >>> from llmkit.content.messages import LLMResponse
        >>> answer = LLMResponse("Hi", "openai", "gpt-6-luna", cost_estimate=0.0056, response_time=3.42)
        >>> str(build_footer(answer, label="luna", session_cost=0.031))
        'luna · 3.4 s · $0.0056 · Σ $0.031'
    """
    facts = [label or response.model, _tokens(response), *_spent(response, status)]
    if session_cost is not None:
        facts.append(f"Σ {format_money(session_cost, about=estimated)}")
    if response.simulated:
        facts.append(SIMULATED)
    return Footer(
        facts=tuple(filter(None, facts)),
        warning=_ending(response, status) or _FINISHES.get(response.finish_reason or "", ""),
        note=note or " ".join(_notes(response)),
    )


def outcome_of(stream: TextStream | ToolStream) -> LLMResponse | None:
    """Return the answer of a call as far as it came; `None` before its end, and if nothing was sent."""
    found = stream.outcome  # it says how a call ended that budgets, or a missing key, have refused, too
    return found if found is not None and (found.attempts or found.replayed) else None


def _ending(response: LLMResponse, status: CallStatus) -> str:
    if status == "error" and not response.content:
        return "⚠ failed"
    return _ENDINGS.get(status, "")


def _notes(response: LLMResponse) -> list[str]:
    note = response.note
    if note and response.content.strip() and all(isinstance(part, _SHOWN) for part in response.parts):
        note = note.removeprefix(sentence(response.raw_parts, response.content)).strip()
    notes = [note] if note else []
    if response.fallback_from is not None:
        notes.append(f"{response.fallback_from} failed; {response.provider}:{response.model} answered.")
    return notes


def _spent(response: LLMResponse, status: CallStatus) -> list[str]:
    if response.replayed:
        return ["↺ replayed", f"saved {format_money(response.saved_cost)}"]
    seconds = [] if response.response_time is None else [format_seconds(response.response_time)]
    if status == "error" and response.cost_estimate is None and not _tokens(response):
        return seconds  # nothing was accepted, so there is no price to report
    return [*seconds, _price(response)]


def _price(response: LLMResponse) -> str:
    usd = response.cost_estimate
    about = is_about(response)
    return "free" if usd == 0 and not about else format_money(usd, about=about)


def is_about(response: LLMResponse) -> bool:
    """Return whether an answer's price is an estimate; the rule is `totals.is_estimated`."""
    cost = response.cost_estimate
    return cost is not None and not response.replayed and inexact(cost, response.usage_source)


def lacks_price(response: LLMResponse) -> bool:
    """Return whether an answer's price is unknown; the rule is `price_rules.UNPRICED`."""
    ended = "error" if response.finish_reason is None else "ok"
    status = "replayed" if response.replayed else ended
    return response.cost_estimate is None and may_cost(
        status, response.prompt_tokens, response.completion_tokens
    )


def _tokens(response: LLMResponse) -> str:
    counts = (response.prompt_tokens, response.completion_tokens)
    if counts == (None, None):
        return ""
    before, after = ("?" if count is None else f"{count:,}" for count in counts)
    guess = response.usage_source in {"partial", "estimated"}
    return f"{'≈' if guess else ''}{before}→{after} tok"


def guess_tokens(characters: int) -> list[str]:
    """Write how long a text that still grows may be; its count comes with the end of the stream.

    Example:
        >>> guess_tokens(10), guess_tokens(0)
        (['≈3 tok'], [])
    """
    return [f"≈{math.ceil(characters / 4):,} tok"] if characters else []


def format_seconds(seconds: float) -> str:
    """Write a duration.

    Example:
        >>> [format_seconds(seconds) for seconds in (0.01, 3.42, 41.6, 125)]
        ['<0.1 s', '3.4 s', '42 s', '2 min 5 s']
    """
    if seconds < 0.05:
        return "<0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
