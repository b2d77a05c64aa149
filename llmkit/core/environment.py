"""The environment's variables: whether one of them has changed, at a fraction of what reading them costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_seen: tuple[Mapping[Any, Any], object] = ({}, object())


def stamp() -> object:
    """Return an object that stays the same until a variable is set, changed or removed.

    What follows from variables can be kept under it: a later environment has another one, even if it is equal
    to an earlier one. Reading a variable that is not set costs 1 µs, and a call depends on some thirty.

    Example:
        >>> before = stamp()
        >>> before is stamp()
        True
    """
    global _seen  # noqa: PLW0603 - one process has one environment
    # os.environ keeps the variables in a dict of bytes, which compares in C: most values are identical.
    now = getattr(os.environ, "_data", os.environ)
    variables, kept = _seen
    if now != variables:
        kept = object()
        _seen = (dict(now), kept)
    return kept
