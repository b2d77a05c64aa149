"""Raises later reservations for a model if its server charged more than the cost bound."""

from __future__ import annotations

import logging

_worst: dict[str, tuple[int, int]] = {}
_unreported: list[str] = []

logger = logging.getLogger("llmkit.clients.accounting")


def grown(name: str, nanos: int) -> int:
    """Return an upper bound, raised by the ratio seen for a model.

    Example:
        >>> grown("openai:gpt-4o-mini", 100)
        100
    """
    charged, bound = _worst.get(name, (1, 1))
    # Rounded up, because a bound must not be smaller than the charge.
    return -(-nanos * charged // bound)


def notice(name: str, bound: int, nanos: int, *, quiet: bool = False) -> None:
    """Record what a server charged for a request."""
    if bound <= 0 or nanos <= bound:
        return
    if name not in _worst:
        text = f"{name} charged {nanos / bound:.1f} times its limit; budgets now reserve that much more."
        _unreported.append(text)
        logger.log(logging.INFO if quiet else logging.WARNING, text)
    charged, before = _worst.get(name, (1, 1))
    # Compares two ratios with integers, which is exact.
    if nanos * before > charged * bound:
        _worst[name] = (nanos, bound)


def take() -> list[str]:
    """Return the messages not shown yet, one per model."""
    reported = []
    while _unreported:
        reported.append(_unreported.pop(0))
    return reported
