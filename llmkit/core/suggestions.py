"""Names that a user gives."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

if TYPE_CHECKING:
    from collections.abc import Iterable


def known(name: str, names: Iterable[str], what: str) -> None:
    """Make sure that there is such a name."""
    names = list(names)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
        raise ConfigurationError(f"The ledger has no {what} {name!r}.", hint=hint)


def texts(given: Any, argument: str) -> list[str]:
    """Return one text or several as a list.

    Example:
        >>> texts("openai", "provider"), texts(("a", "b"), "model"), texts(None, "tag")
        (['openai'], ['a', 'b'], [])
    """
    if given is None or isinstance(given, str):
        return [] if given is None else [given]
    found = list(given) if hasattr(given, "__iter__") and not isinstance(given, (bytes, dict)) else [given]
    if all(isinstance(one, str) for one in found):
        return found
    raise ConfigurationError(
        f"{argument}={str(given)[:60]} cannot be used.", hint="Give a text, or a list of texts."
    )


def did_you_mean(word: str, choices: Iterable[str], otherwise: str) -> str:
    """Return the hint that names the nearest choice, or another hint.

    Example:
        >>> did_you_mean("modle", ["model", "out"], "")
        'Did you mean model?'
    """
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"Did you mean {near[0]}?" if near else otherwise
