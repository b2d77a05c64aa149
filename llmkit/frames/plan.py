"""`dry_run=True`: what a job would ask and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit import prices
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.batches.booking import TIER
from llmkit.content import tokens
from llmkit.content.messages import Usage
from llmkit.core.money import NANO, format_money
from llmkit.core.rich_display import bundle_of
from llmkit.frames.answers.protocol import OK
from llmkit.providers.formats import codec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from llmkit.content.messages import LLMMessage
    from llmkit.frames.asked_model import AskedModel
    from llmkit.frames.job import Job

SAMPLE = 5000
"""Most requests that are counted; of more, so many are counted, evenly spread."""

SEEN = 5
"""Answers from which the length of the others is estimated; of fewer it is guessed."""

NORMAL = 1.645
"""90 % of a normal distribution lie within so many standard deviations."""

SPEED = 70.0
"""Tokens in a second of one answer, as models usually write them."""

AT_ONCE = 64
"""Calls at once that a provider usually allows."""


class Output(NamedTuple):
    """Tokens of all answers.

    Attributes:
        expected: The expected number.
        low: With 5 % probability it is less, if it is not a guess.
        high: With 5 % probability it is more.
        guessed: Whether it is a guess, because too few rows were answered so far.
    """

    expected: float
    low: float
    high: float
    guessed: bool


class Cost(NamedTuple):
    """What a job costs in one mode, in US dollars; NaN where it is unknown."""

    mode: str
    expected_usd: float
    low_usd: float
    high_usd: float
    at_most_usd: float
    minutes: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """What a job would ask and cost; nothing was sent.

    Attributes:
        rows: Rows that it was given, up to its limit.
        requests: Requests that it would send: equal rows are one.
        already_paid: Rows that are answered already, and are not asked again.
        input_tokens: Estimated tokens of the prompts.
        output_tokens: Estimated tokens of the answers.
        guessed: Whether the answers' length is a guess, because too few rows were answered so far.
        max_tokens: Output limit of each answer.
        model: The model, as `provider:model`.
        prompt: The prompt of the first row that would be asked.
        simulated: Whether the sandbox answers, so that nothing is paid.
        by_mode: The costs, for `costs`.
        without_text: Rows among them that have no text, and are not asked.
    """

    rows: int
    requests: int
    already_paid: int
    input_tokens: int
    output_tokens: int
    guessed: bool
    max_tokens: int
    model: str
    prompt: str
    simulated: bool
    by_mode: tuple[Cost, ...]
    without_text: int = 0

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The costs by mode: `expected_usd`, a 90 % interval, `at_most_usd`, and `minutes`."""
        import pandas as pd

        return pd.DataFrame(self.by_mode, columns=list(Cost._fields)).set_index("mode")

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle_of(self)

    def __repr__(self) -> str:
        sure = "a guess, because no row was answered yet" if self.guessed else "from the rows so far"
        rows, requests = counted(self.rows, "row"), counted(self.requests, "request")
        empty = f" ({self.without_text:,} without text)" if self.without_text else ""
        lines = [
            f"Plan: {rows}{empty}, {self.already_paid:,} of them paid, {requests}",
            f"Model: {self.model}, at most {self.max_tokens:,} tokens an answer",
            f"Tokens: ≈{self.input_tokens:,} in, ≈{self.output_tokens:,} out ({sure})",
            *map(_shown, self.by_mode),
        ]
        if self.simulated:
            lines.append("The sandbox answers: nothing is paid.")
        if self.prompt:
            lines += ["First prompt:", *(f"  {line}" for line in self.prompt.splitlines())]
        return "\n".join(lines)


def counted(number: int, word: str) -> str:
    """Return a number with its word.

    Example:
        >>> counted(1, "row"), counted(2000, "row")
        ('1 row', '2,000 rows')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def time_needed(minutes: float) -> str:
    """Write an estimated time; nothing if it is unknown, or if there is nothing to do.

    Example:
        >>> [time_needed(minutes) for minutes in (float("nan"), 0.2, 3.4, 300)]
        ['', 'under 1 min', '3 min', '5 h']
    """
    if math.isnan(minutes) or not minutes:
        return ""
    if minutes < 1:
        return "under 1 min"
    return f"{round(minutes)} min" if minutes < 90 else f"{round(minutes / 60):,} h"


def _shown(cost: Cost) -> str:
    if math.isnan(cost.expected_usd):
        return f"{cost.mode}: the price is unknown"
    span = f"{format_money(cost.low_usd)} to {format_money(cost.high_usd)}"
    duration = time_needed(cost.minutes)
    about = "" if duration.startswith("under") else "about "
    time = f", {about}{duration}" if duration else ""
    most = f"at most {format_money(cost.at_most_usd)}"
    return f"{cost.mode}: {format_money(cost.expected_usd, about=True)} ({span}), {most}{time}"


def plan_of(job: Job) -> Plan:
    """Return the plan of a job that is prepared."""
    wanted, model = job.wanted, job.model
    sample = wanted[:: max(1, len(wanted) // SAMPLE)]
    messages = [job.requests.messages(key) for key in sample]
    scale = len(wanted) / len(sample) if sample else 0.0
    input_tokens = scale * sum(_estimates(messages, model)) * _ratio(job)
    output = _output(job)
    return Plan(
        rows=job.progress.rows,
        requests=len(wanted),
        already_paid=sum(job.requests.counts[key] for key, one in job.answers.items() if one.status == OK),
        input_tokens=round(input_tokens),
        output_tokens=round(output.expected),
        guessed=output.guessed,
        max_tokens=model.max_tokens,
        model=model.name,
        prompt=_prompt(messages),
        simulated=job.progress.simulated,
        by_mode=tuple(_costs(job, input_tokens, output, messages, scale)),
        without_text=job.requests.keys.count(None) - len(job.requests.errors),
    )


def _prompt(messages: Sequence[Sequence[LLMMessage]]) -> str:
    first = messages[0] if messages else ()
    return "\n".join(f"{one.role}: {one.content}" for one in first)


def _estimates(messages: Sequence[Sequence[LLMMessage]], model: AskedModel) -> list[int]:
    of_image = codec_of(model.provider).image_tokens
    return [tokens.estimate_prompt(one, of_image, model.request.model) for one in messages]


def _ratio(job: Job) -> float:
    """Return how many tokens the provider counts for each that is estimated, from the rows so far."""
    seen = [(key, one) for key, one in job.answers.items() if one.status == OK and one.input_tokens][:200]
    if len(seen) < SEEN:
        return 1.0
    estimated = sum(_estimates([job.requests.messages(key) for key, _ in seen], job.model))
    return sum(one.input_tokens or 0 for _, one in seen) / max(estimated, 1)


def _output(job: Job) -> Output:
    seen = [one.output_tokens for one in job.answers.values() if one.output_tokens is not None]
    count = len(job.wanted)
    if len(seen) < SEEN:
        # A twentieth of what an answer may have, and an eighth of the room to reason.
        room = job.model.max_tokens - min(job.question.output, job.model.max_tokens)
        guess = min(job.question.output, job.model.max_tokens) / 20 + room / 8
        return Output(count * guess, count * guess / 4, count * guess * 4, guessed=True)
    # The error of the mean is added to the spread of the answers to come.
    spread = NORMAL * stdev(seen) * math.sqrt(count + count**2 / len(seen))
    expected = count * mean(seen)
    return Output(expected, max(0.0, expected - spread), expected + spread, guessed=False)


def _bound(
    messages: Sequence[Sequence[LLMMessage]], model: AskedModel, scale: float, tier: str | None
) -> float:
    """Return the most that all requests can cost, in US dollars."""
    requests = [replace(model.request, messages=tuple(one)) for one in messages]
    each = [cost_bound(one, model.provider, tier=tier).nanos for one in requests]
    known = [nanos for nanos in each if nanos is not None]
    return scale * sum(known) / NANO if len(known) == len(each) else math.nan


def _tiers(provider: str) -> dict[str, str | None]:
    """Return the modes that a provider has, each with its service tier."""
    codec = codec_of(provider)
    modes: dict[str, str | None] = {"now": None}
    if (flex := codec.tiers.get("flex")) is not None:
        modes["flex"] = flex
    if codec.batches is not None:
        modes["batch"] = TIER
    return modes


def _costs(
    job: Job,
    input_tokens: float,
    output: Output,
    messages: Sequence[Sequence[LLMMessage]],
    scale: float,
) -> list[Cost]:
    count = len(job.wanted)
    busy = min(job.options.max_concurrent or AT_ONCE, AT_ONCE, max(count, 1))
    minutes = (count + output.expected / SPEED) / busy / 60
    return [
        Cost(
            mode,
            _usd(job, input_tokens, output.expected, tier),
            _usd(job, input_tokens, output.low, tier),
            _usd(job, input_tokens, output.high, tier),
            # A flex request may be served at the usual tier; a batch never is.
            _bound(messages, job.model, scale, tier if tier == TIER else None),
            minutes if mode == "now" else math.nan,
        )
        for mode, tier in _tiers(job.model.provider).items()
    ]


def _usd(job: Job, input_tokens: float, output_tokens: float, tier: str | None) -> float:
    """Return the price of all requests, which have so many tokens together."""
    count = len(job.wanted)
    if not count:
        return 0.0
    # By the average request: the price of a token may depend on a prompt's length.
    usage = Usage(input_tokens=round(input_tokens / count), output_tokens=round(output_tokens / count))
    found = prices.price(job.model.provider, (job.model.request.model,), usage, tier=tier)
    return math.nan if found is None else found.nanos * count / NANO


def sum_of_plans(plans: Sequence[Plan]) -> Plan:
    """Return the plan of all parts of a frame; requests that two parts have in common count twice."""
    first = next((one for one in plans if one.requests), plans[0])
    modes = [_sum_of_costs(parts) for parts in zip(*(one.by_mode for one in plans), strict=True)]
    return replace(
        first,
        rows=sum(one.rows for one in plans),
        requests=sum(one.requests for one in plans),
        already_paid=sum(one.already_paid for one in plans),
        input_tokens=sum(one.input_tokens for one in plans),
        output_tokens=sum(one.output_tokens for one in plans),
        guessed=any(one.guessed for one in plans if one.requests),
        by_mode=tuple(modes),
        without_text=sum(one.without_text for one in plans),
    )


def _sum_of_costs(parts: Sequence[Cost]) -> Cost:
    # How many parts are asked at once is not known here, and so no time.
    return Cost(
        parts[0].mode,
        sum(one.expected_usd for one in parts),
        sum(one.low_usd for one in parts),
        sum(one.high_usd for one in parts),
        sum(one.at_most_usd for one in parts),
        math.nan,
    )
