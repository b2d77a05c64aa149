"""What `dry_run=True` returns, in a notebook: rows, costs by mode, and the first prompt."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from llmkit.core.money import format_money
from llmkit.frames.plan import counted, time_needed
from llmkit.notebook.display.markdown.render import page, text_html
from llmkit.notebook.display.markdown.style import PARTS

if TYPE_CHECKING:
    from llmkit.frames.plan import Cost, Plan

_HEADS = ("mode", "expected", "from", "to", "at most", "time")


def plan_html(plan: Plan) -> str:
    """Return a plan as safe HTML."""
    footer = "".join(f'<p class="llmkit-footer">{escape(line)}</p>' for line in _footer(plan))
    return PARTS + page(_heading(plan) + _costs(plan) + footer + _prompt(plan))


def _heading(plan: Plan) -> str:
    empty = f" ({plan.without_text:,} without text)" if plan.without_text else ""
    facts = [
        f"{counted(plan.rows, 'row')}{empty}",
        counted(plan.requests, "request"),
        f"{counted(plan.already_paid, 'row')} already paid",
    ]
    return f"<p><strong>Plan</strong> · {' · '.join(facts)} · {escape(plan.model)}</p>"


def _costs(plan: Plan) -> str:
    head = "".join(f'<th scope="col"{_align(name)}>{name}</th>' for name in _HEADS)
    rows = "".join(f"<tr>{''.join(_cells(one))}</tr>" for one in plan.by_mode)
    return (
        '<div class="llmkit-table" tabindex="0" role="region" aria-label="Costs">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _align(name: str) -> str:
    return "" if name == "mode" else ' align="right"'


def _cells(cost: Cost) -> list[str]:
    amounts = [
        _money(cost.expected_usd, about=True),
        _money(cost.low_usd),
        _money(cost.high_usd),
        _money(cost.at_most_usd),
    ]
    cells = [f'<td align="right">{escape(text)}</td>' for text in (*amounts, time_needed(cost.minutes))]
    return [f'<th scope="row">{escape(cost.mode)}</th>', *cells]


def _money(usd: float, *, about: bool = False) -> str:
    return "$?" if math.isnan(usd) else format_money(usd, about=about)


def _footer(plan: Plan) -> list[str]:
    sure = (
        "a guess, because too few rows were answered so far" if plan.guessed else "from the rows so far, 90 %"
    )
    tokens = f"≈{plan.input_tokens:,} tokens in, ≈{plan.output_tokens:,} out ({sure})"
    lines = [f"{tokens}; at most {plan.max_tokens:,} tokens an answer"]
    return [*lines, "The sandbox answers: nothing is paid."] if plan.simulated else lines


def _prompt(plan: Plan) -> str:
    if not plan.prompt:
        return ""
    text = text_html(plan.prompt)
    code = f'<pre class="llmkit-code" tabindex="0"><code>{text}</code></pre>'
    return f'<details class="llmkit-fold"><summary>First prompt</summary>{code}</details>'
