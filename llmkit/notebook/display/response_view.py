"""A response or a run as the value of a cell: rendered as the answer of `%%llm` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.clients.tools.run import Run
from llmkit.content.reasoning import spoken
from llmkit.notebook.display.footer import build_footer
from llmkit.notebook.display.parts import beside, run_beside
from llmkit.notebook.display.rich_answer import final_data

if TYPE_CHECKING:
    from llmkit.content.messages import LLMResponse


def bundle(value: LLMResponse | Run) -> dict[str, Any]:
    """Return a value as one readable line, and as HTML with the parts of its answer."""
    forms = {"text/plain": repr(value)}
    response = value.response if isinstance(value, Run) else value
    if response is None:  # a run whose first request was too dear
        return forms
    # A run says its price in its line; the footer would show that of its last answer.
    footer, around = (
        (None, run_beside(value)) if isinstance(value, Run) else (build_footer(value), beside(value))
    )
    return forms | {"text/html": final_data(spoken(response.content), footer, {}, beside=around)["text/html"]}
