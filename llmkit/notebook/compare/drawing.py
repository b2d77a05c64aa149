"""How a comparison looks: safe HTML for a notebook, plain text for a terminal; pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.content.reasoning import spoken
from llmkit.core.money import format_money
from llmkit.notebook.compare.measures import SMALLEST, measured
from llmkit.notebook.display.footer import SIMULATED, Footer, build_footer, format_seconds, is_about
from llmkit.notebook.display.live import MIME_TYPE
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.render import page, render, stylesheet
from llmkit.notebook.display.markdown.style import COMPARE, PARTS
from llmkit.notebook.display.parts import beside
from llmkit.notebook.display.plain_text import plain, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.compare.comparison import Comparison, ModelAnswer

ABREAST = 3
"""Up to so many columns may become narrow; more of them scroll sideways instead."""


def final(comparison: Comparison) -> dict[str, Any]:
    """Return what stays of a comparison: safe HTML, plain text, facts."""
    line = summary_line(comparison)
    parts = [
        f"── {entry.label} ──\n{_plain_text(entry)}\n{terminal_footer(entry)}\n"
        for entry in comparison.entries
    ]
    return {
        "text/html": stylesheet() + COMPARE + PARTS + grid(map(column_html, comparison.entries), line.html),
        "text/plain": plain(printable("\n".join([*parts, str(line)]))),
        MIME_TYPE: {"compare": [entry.row for entry in comparison.entries], "most_usd": comparison.most_usd},
    }


def _plain_text(entry: ModelAnswer) -> str:
    around = beside(entry.outcome)
    return "\n".join(filter(None, [around.text_above, spoken(entry.text), around.text_below]))


def grid(columns: Iterable[str], footer: str) -> str:
    """Lay columns out side by side; many of them scroll."""
    drawn = list(columns)
    kind = "llmkit-compare llmkit-many" if len(drawn) > ABREAST else "llmkit-compare"
    region = f'<div class="{kind}" tabindex="0" role="region" aria-label="Answers">'
    return page(f"{region}{''.join(drawn)}</div>", footer, style=False)


def column_html(entry: ModelAnswer) -> str:
    """Draw a column that is over."""
    said, around = spoken(entry.text), beside(entry.outcome)
    text = said if entry.status == "ok" else close_open(plain(said))
    error = "" if entry.error is None else f'<p class="llmkit-failed">{escape(error_line(entry.error))}</p>'
    body = around.above + render(text) + around.below + error
    return column(entry.label, body, _footer(entry).html, cut=entry.status != "ok")


def error_line(error: Exception) -> str:
    """Say on one line why a model has no whole answer."""
    return plain(printable(" ".join(f"{type(error).__name__}: {error}".split())))


def column(label: str, body: str, footer: str, *, cut: bool = False) -> str:
    """Draw a column."""
    name = escape(printable(label))
    kind = "llmkit-column llmkit-cut" if cut else "llmkit-column"
    head = f'<p class="llmkit-name"><strong>{name}</strong></p>'
    return f'<div class="{kind}" role="group" aria-label="{name}">{head}{body}{footer}</div>'


def _footer(entry: ModelAnswer) -> Footer:
    found = entry.outcome
    if found is None:
        # A stopped call may still be closing its connection when this is drawn.
        sent = "" if entry.text else " before anything was sent"
        return Footer(warning=f"⏹ stopped{sent}" if entry.status == "cancelled" else "nothing was sent")
    usual = build_footer(found, label="", status=entry.status)
    redundant = {found.model, SIMULATED}  # in the column's heading, and in the line under all columns
    if found.completion_tokens is None and found.cost_estimate is None:
        redundant.add("$?")  # without tokens there is no price that could be unknown
    facts = [fact for fact in usual.facts if fact not in redundant]
    return Footer(facts=(*facts, *_measured(entry, found)), warning=usual.warning, note=found.note)


def _measured(entry: ModelAnswer, found: LLMResponse) -> Iterator[str]:
    first, speed = entry.row["first_token_s"], entry.row["tokens_per_s"]
    if first is not None and not found.replayed:  # a replay has no times of its own
        yield f"first text {format_seconds(first)}"
    if speed is not None and not found.replayed:
        yield f"{speed:,.0f} tok/s"
    if found.finish_reason not in {None, "stop"}:  # a normal end needs no words
        yield f"finish: {found.finish_reason}"


def terminal_footer(entry: ModelAnswer) -> Footer:
    """Return a column's footer with the error in it: a terminal's section has no other place for it."""
    footer = _footer(entry)
    return footer if entry.error is None else Footer(facts=footer.facts, warning=error_line(entry.error))


def summary_line(comparison: Comparison) -> Footer:
    """Return the line under all columns: the price, and who did best."""
    found = [entry.outcome for entry in comparison.entries if entry.outcome is not None]
    most = "" if comparison.most_usd is None else f" of at most {format_money(comparison.most_usd)}"
    cost = format_money(comparison.cost, about=any(map(is_about, found))) + most
    winners = {"cheapest": _winner(comparison, "cost"), "fastest": _winner(comparison, "time")}
    best = [f"{word}: {winner}" for word, winner in winners.items() if winner]
    simulated = {outcome.simulated for outcome in found}
    mixed = "Some of the answers are simulated." if len(simulated) > 1 else ""
    return Footer(
        facts=(f"{len(comparison)} models", cost, *best, *[SIMULATED] * (simulated == {True})),
        note=" ".join(filter(None, [mixed, comparison.note])),
    )


def _winner(comparison: Comparison, by: str) -> str:
    """Return the one that did best; empty if there is nothing to choose from."""
    values = {measured(entry, SMALLEST[by]) for entry in comparison.entries} - {None}
    return comparison.best(by) if len(values) > 1 else ""
