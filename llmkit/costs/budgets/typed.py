"""Changes of budgets as people type them, in `%llm budget` and in a shell."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import known
from llmkit.costs.budgets.budget import budget
from llmkit.costs.budgets.rules import AMOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTABLE = tuple(name for name in inspect.signature(budget).parameters if name != "on_alert")
"""What `budget` sets that can be typed."""


def read_changes(words: Iterable[str]) -> dict[str, Any]:
    """Read changes: `5`, `daily=5 per_call=0.10`, `off`.

    Example:
        >>> read_changes(["daily=5", "per_call=off", "unpriced=ask"])
        {'daily': 5.0, 'per_call': None, 'unpriced': 'ask'}
        >>> read_changes(["off"])
        {'daily': None, 'per_notebook': None, 'per_call': None, 'per_user': None}
    """
    words = list(words)
    if words == ["off"]:
        return dict.fromkeys(AMOUNTS)
    pairs = [(name or "daily", _value(text)) for name, _, text in (word.rpartition("=") for word in words)]
    for name, _ in pairs:
        known(name, SETTABLE, "budget")
    changes = dict(pairs)
    if len(changes) < len(words) or "off" in words:
        raise ConfigurationError(
            f"The budgets {' '.join(words)!r:.80} contradict each other.",
            hint="Name each one once, as in daily=5 per_call=off; off alone removes all limits.",
        )
    return changes


def _value(text: str) -> float | str | None:
    """Return a typed value: dollars, `off`, or a policy."""
    if text == "off":
        return None
    try:
        return float(text.removeprefix("$"))
    except ValueError:
        return text
