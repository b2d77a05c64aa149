"""A response, a run or a plan as the value of a cell: rendered as the answer of `%%llm` is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.clients.tools.run import Run
from llmkit.content.reasoning import spoken
from llmkit.frames.plan import Plan
from llmkit.notebook.display.footer import build_footer
from llmkit.notebook.display.parts import beside
from llmkit.notebook.display.plan_view import plan_html
from llmkit.notebook.display.rich_answer import final_data
from llmkit.notebook.tools.steps import around, events_of_run, run_footer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.tools.steps import Event


def bundle(value: LLMResponse | Run | Plan) -> dict[str, Any]:
    """Return a value as readable text, and as HTML with its parts, its steps, or its costs."""
    forms = {"text/plain": repr(value)}
    if isinstance(value, Plan):
        return forms | {"text/html": plan_html(value)}
    if not isinstance(value, Run):
        data = final_data(spoken(value.content), build_footer(value), {}, beside=beside(value))
    elif value.response is None:  # the first request was too dear
        return forms
    else:
        events = events_of_run(value)
        footer = _footer(value, value.response, events)
        data = final_data(spoken(value.text), footer, {}, beside=around(events))
    return forms | {"text/html": data["text/html"]}


def _footer(run: Run, last: LLMResponse, events: Sequence[Event]) -> Footer:
    """Return the line under the last answer of a run, with the sums of all its requests."""
    asked = [step for step in run.trace if step.kind == "model"]

    def summed(name: str) -> Any:
        counts = [getattr(step, name) for step in asked]
        return None if None in counts else sum(counts)

    whole = replace(
        last,
        prompt_tokens=summed("input_tokens"),
        completion_tokens=summed("output_tokens"),
        tokens_used=None,
        response_time=summed("seconds"),
        cost_estimate=run.cost,
    )
    return run_footer(build_footer(whole), events, run.stopped)
