"""Names that a user gives: which ones exist, and which one was meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

CLOSE = 0.6
"""Likeness from which a name may have been meant; `difflib` gives 1 to equal ones."""

ALMOST = 0.8
"""Likeness from which it was meant, where a wrong guess would refuse a prompt."""


def nearest(word: str, choices: Iterable[str], *, cutoff: float = CLOSE) -> str | None:
    """Return the choice that is most like a word; `None` if none is like it.

    Example:
        >>> nearest("modle", ["model", "out"]), nearest("mood", ["model"], cutoff=ALMOST)
        ('model', None)
    """
    return next(iter(near(word, choices, 1, cutoff)), None)


def near(word: str, choices: Iterable[str], most: int = 3, cutoff: float = CLOSE) -> list[str]:
    """Return the choices that are like a word, the nearest first."""
    return difflib.get_close_matches(word, list(choices), most, cutoff)


def known(
    name: str, names: Iterable[str], what: str, error: type[ConfigurationError] = ConfigurationError
) -> None:
    """Raise an error unless the name is known."""
    names = list(names)
    if name not in names:
        found = nearest(str(name), names)
        hint = f"Known: {', '.join(names)}." if found is None else f"Did you mean {found!r}?"
        raise error(f"Unknown {what} {name!r}.", hint=hint)


def texts(given: Any, argument: str) -> list[str]:
    """Return a string or several strings as a list.

    Example:
        >>> texts("openai", "provider"), texts(("a", "b"), "model"), texts(None, "tag")
        (['openai'], ['a', 'b'], [])
    """
    if given is None or isinstance(given, str):
        return [] if given is None else [given]
    found = list(given) if hasattr(given, "__iter__") and not isinstance(given, (bytes, dict)) else [given]
    if all(isinstance(one, str) for one in found):
        return found
    raise ConfigurationError(f"{argument} must be a string or a list of strings, got {str(given)[:60]}.")


def did_you_mean(word: str, choices: Iterable[str], otherwise: str) -> str:
    """Return a hint with the most similar choice, or the other hint.

    Example:
        >>> did_you_mean("modle", ["model", "out"], "")
        'Did you mean model?'
    """
    found = nearest(word, choices)
    return otherwise if found is None else f"Did you mean {found}?"
