"""Cheap detection of changes to environment variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_seen: tuple[Mapping[Any, Any], object] = ({}, object())


def stamp() -> object:
    """Return an object that is replaced when a variable is set, changed or removed.

    Use it as a cache key for values derived from variables. Reading an unset variable costs 1 µs, and a call
    depends on about thirty.

    Example:
        >>> before = stamp()
        >>> before is stamp()
        True
    """
    global _seen  # noqa: PLW0603 - one process has one environment
    # os.environ stores a dict of bytes, which compares in C; most values are identical objects.
    now = getattr(os.environ, "_data", os.environ)
    variables, kept = _seen
    if now != variables:
        kept = object()
        _seen = (dict(now), kept)
    return kept
