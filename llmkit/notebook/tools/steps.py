"""What a run with tools did, as it is shown: one line a call, folded, between the texts of its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.content.messages import LLMResponse
from llmkit.content.parts import ToolCall, ToolResult
from llmkit.content.reasoning import spoken
from llmkit.core.money import format_money
from llmkit.notebook.display.footer import Footer, format_seconds
from llmkit.notebook.display.markdown.render import render
from llmkit.notebook.display.parts import NOTHING, Beside, beside, call_html, one_line, signature
from llmkit.notebook.display.plain_text import plain, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmkit.clients.tools.run import Run, Step
    from llmkit.content.messages import LLMMessage

SHORT = 40
"""Longest result that stands on a call's line, in characters."""


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a tool, and how it ended."""

    call: ToolCall
    result: ToolResult
    outcome: str

    @property
    def html(self) -> str:
        """The call on one line, with its arguments and result inside."""
        return call_html(self.call, self.outcome, self.result)

    @property
    def text(self) -> str:
        """The call on one line."""
        return plain(printable(f"▸ {signature(self.call)} → {self.outcome}"))


Event: TypeAlias = "LLMResponse | Called"
"""An answer of the model, or a call of a tool."""


def called(step: Step, result: ToolResult, value: Any, cost: float | None) -> Called:
    """Return a call with the words for its outcome.

    Args:
        step: The step of the call.
        result: What the model gets.
        value: What the tool returned, if it ran.
        cost: Price of the answer that made the call; `None` if another call of it shows the price.
    """
    facts = [_outcome(step, result, value)]
    if step.replayed:
        facts.append("↺ replayed")
    elif step.seconds:
        facts.append(format_seconds(step.seconds))
    facts += [] if cost is None else [format_money(cost)]
    call = ToolCall(step.uid or "", step.name, raw=step.arguments)
    return Called(call, result, " · ".join(facts))


def _outcome(step: Step, result: ToolResult, value: Any) -> str:
    if step.approved is False:
        return "not allowed"
    if result.is_error:
        return _result(result)
    if hasattr(value, "columns") and hasattr(value, "index"):  # a DataFrame
        return f"{len(value):,} rows"
    if isinstance(value, list | tuple | set | dict) and len(result.content) > SHORT:
        return f"{len(value):,} items"
    return _result(result)


def _result(result: ToolResult) -> str:
    """Return a short result, or the length of a long one."""
    if result.is_error:
        return f"error: {one_line(result.content, 80)}"
    text = result.content.strip()
    return text if len(text) <= SHORT and "\n" not in text else f"{len(text):,} characters"


def events_of(messages: Iterable[LLMMessage]) -> Iterator[Event]:
    """Yield what a conversation says about a run with tools: its answers, its calls and their results."""
    calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "assistant":
            calls |= {part.id: part for part in message.parts if isinstance(part, ToolCall)}
            yield LLMResponse(message.content, "", "", parts=message.parts)
        for one in message.parts:
            if isinstance(one, ToolResult):
                yield Called(calls.get(one.call_id, ToolCall(one.call_id, one.name)), one, _result(one))


def events_of_run(run: Run) -> list[Event]:
    """Return what a run did: its answers, its calls and their results; the last answer with its tokens."""
    events = list(events_of(run.messages[run.asked :]))
    last = max((place for place, one in enumerate(events) if isinstance(one, LLMResponse)), default=-1)
    if run.response is None:
        return events
    if last >= 0 and run.response.parts:
        events[last] = run.response
    else:  # an empty answer is not in the conversation
        events.append(run.response)
    return events


LIMITS = {
    "max_steps": "stopped at max steps",
    "max_cost": "stopped at max cost",
    "repeated": "stopped: the same call three times",
    "interrupted": "interrupted in a tool",
}
"""What the footer says of a run that did not come to its end."""


def run_footer(footer: Footer, events: Sequence[Event], stopped: str) -> Footer:
    """Return the line under the last answer of a run: with its steps, if there are several, and its limit."""
    calls = sum(isinstance(one, Called) for one in events)
    counts = (_counted(len(events) - calls, "request"), _counted(calls, "tool call"))
    facts = (*footer.facts[:1], *(counts if len(events) > 1 else ()), *footer.facts[1:])
    in_request = stopped == "interrupted" and not isinstance(events[-1], Called)
    return replace(
        footer, facts=facts, warning=footer.warning if in_request else LIMITS.get(stopped, footer.warning)
    )


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def around(events: Sequence[Event]) -> Beside:
    """Return what stands above and below the text of the last answer: all that happened before and after."""
    last = max((n for n, one in enumerate(events) if not isinstance(one, Called)), default=-1)
    answered = frozenset(one.call.id for one in events if isinstance(one, Called))
    answer = events[last] if last >= 0 else None
    shown = NOTHING if isinstance(answer, Called | None) else beside(answer, answered)
    before, after = list(events[: max(last, 0)]), list(events[last + 1 :])
    return replace(
        shown,
        above="".join(_html(one, answered) for one in before) + shown.above,
        below="".join(_html(one, answered) for one in after) + shown.below,
        text_above=_joined([*(_text(one, answered) for one in before), shown.text_above]),
        text_below=_joined([*(_text(one, answered) for one in after), shown.text_below]),
    )


def _html(event: Event, answered: frozenset[str]) -> str:
    if isinstance(event, Called):
        return event.html
    shown = beside(event, answered)
    return shown.above + render(spoken(event.content)) + shown.below


def _text(event: Event, answered: frozenset[str]) -> str:
    if isinstance(event, Called):
        return event.text
    shown = beside(event, answered)
    return _joined([shown.text_above, plain(printable(spoken(event.content))), shown.text_below])


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(filter(None, lines))
