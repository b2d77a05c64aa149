"""Usage reports, and merging later ones into earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.providers.json_fields import token_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.content.messages import Usage
    from llmkit.providers.codec import Answer

    Report = dict[str, Any]
    Reader = Callable[[Report], Usage]

SIDES = {
    "input": ("prompt", "input", "cach", "num_cached", "toolUse"),
    "output": ("completion", "output", "reasoning", "candidates", "thoughts", "citation"),
}
"""Prefixes of the names of prompt and answer counts, in all protocols."""


def note(answer: Answer, report: Report, read: Reader) -> None:
    """Merge a report: its values replace earlier ones, missing and empty values do not."""
    answer.report = report if answer.report is None else fuller(answer.report, report, read)
    answer.read, answer.counted = read, None


def fuller(old: Report, new: Report, read: Reader) -> Report:
    """Return two reports on one call merged.

    Example:
        >>> from llmkit.providers.usage_openai import read_usage
        >>> zeros = {"prompt_tokens": 0, "completion_tokens": 0}
        >>> fuller({"prompt_tokens": 9, "completion_tokens": 2}, zeros, read_usage)
        {'prompt_tokens': 9, 'completion_tokens': 2}
    """
    for name, was in old.items():  # the common case: counts that only grow, with every event
        now = new.get(name)
        if now == was or (now.__class__ is int and was.__class__ is int and now >= was):
            continue
        return _merged(old, new, read)
    return new


def _merged(old: Report, new: Report, read: Reader) -> Report:
    """Merge two reports, keeping the earlier value of a side that decreased.

    Anthropic counts cached tokens separately, so only the sum shows whether a side decreased.
    """
    both = _united(old, new)
    before, after, correction = read(old), read(both), _adds_up(new, read)
    for side in SIDES:
        was, now = getattr(before, f"{side}_tokens"), getattr(after, f"{side}_tokens")
        if was is not None and (now is None or now < was):
            kept = new if correction else old
            both = {name: value for name, value in both.items() if not _is_of(name, side)}
            both |= {name: value for name, value in kept.items() if _is_of(name, side)}
    return both


def _united(old: Report, new: Report) -> Report:
    both = dict(old)
    for name, now in new.items():
        was = both.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            both[name] = _united(was, now)
        elif not _amount(was) or _amount(now) >= (_amount(was) if isinstance(now, list) else 1e-99):
            both[name] = now
    return both


def _amount(value: Any) -> float:
    """Return the size of a value: a number itself, the sum of numbers inside, otherwise 1 or 0."""
    if isinstance(value, dict):
        return sum(_amount(one) for one in value.values() if not isinstance(one, str))
    if isinstance(value, list):
        return sum(map(_amount, value))
    number = token_count(value)
    if number is not None:
        return number
    return value if isinstance(value, float) and value > 0 else float(bool(value))


def _adds_up(report: Report, read: Reader) -> bool:
    """Whether a report is complete and consistent, so that a smaller count in it is a correction."""
    usage = read(report)
    whole = all(
        any(_is_of(name, side) and _amount(value) for name, value in report.items()) for side in SIDES
    )
    # Anthropic's last report has no total, but it lists the rounds of the call.
    if report.get("iterations"):
        return bool(usage.input_tokens and usage.output_tokens)
    total = token_count(report.get("total_tokens", report.get("totalTokenCount")))
    return whole and total is not None and total == (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _is_of(name: str, side: str) -> bool:
    return name.startswith(SIDES[side])
