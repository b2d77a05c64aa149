"""Servers that charge more than they were bound to: the next reservations for their models allow for it."""

from __future__ import annotations

import logging

_worst: dict[str, tuple[int, int]] = {}
_untold: list[str] = []

logger = logging.getLogger("llmkit.clients.accounting")


def grown(name: str, nanos: int) -> int:
    """Return an upper bound, raised by what was seen of a model.

    Example:
        >>> grown("openai:gpt-4o-mini", 100)
        100
    """
    charged, bound = _worst.get(name, (1, 1))
    return -(-nanos * charged // bound)


def notice(name: str, bound: int, nanos: int, *, quiet: bool = False) -> None:
    """Note what a server charged for a request."""
    if bound <= 0 or nanos <= bound:
        return
    if name not in _worst:
        text = (
            f"{name} charged {nanos / bound:.1f} times what its limits allow:"
            " budgets reserve that much from now on."
        )
        _untold.append(text)
        logger.log(logging.INFO if quiet else logging.WARNING, text)
    charged, before = _worst.get(name, (1, 1))
    if nanos * before > charged * bound:
        _worst[name] = (nanos, bound)


def take() -> list[str]:
    """Return, for who shows it, what nobody has been told yet: a sentence for each model, once."""
    told = []
    while _untold:
        told.append(_untold.pop(0))
    return told
