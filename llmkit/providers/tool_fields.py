"""The fields of a request that offer tools, common to the wire formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmkit.content.tools import Tool
from llmkit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.providers.codec import Request

_WORDS = {"auto": "auto", "none": "none", "required": "required"}


def tool_fields(
    request: Request,
    form: Callable[[Tool], dict[str, Any]],
    named: Callable[[str], Any],
    words: Mapping[str, Any] = _WORDS,
) -> dict[str, Any]:
    """Return `tools` and `tool_choice` in a provider's form; nothing where the request has no tools.

    Args:
        request: The request.
        form: Returns a function's description in the provider's form.
        named: Returns the choice of one tool by its name.
        words: The provider's forms of `"auto"`, `"none"` and `"required"`.

    Raises:
        InvalidRequestError: If the chosen tool is not among the tools.
    """
    fields: dict[str, Any] = {}
    if request.tools:
        fields["tools"] = [form(one) if isinstance(one, Tool) else dict(one) for one in request.tools]
    if request.tool_choice is not None:
        fields["tool_choice"] = _chosen(request, named, words)
    return fields


def _chosen(request: Request, named: Callable[[str], Any], words: Mapping[str, Any]) -> Any:
    choice = request.tool_choice
    if isinstance(choice, Mapping):
        return choice
    word = choice if isinstance(choice, str) else ""
    names = [one.name for one in request.tools if isinstance(one, Tool)]
    if word in names:
        return named(word)
    if word in words:
        return words[word]
    raise InvalidRequestError(
        f"tool_choice is {choice!r:.80}, but there is no such tool.",
        hint=f"Use auto, none, required{''.join(f', {name}' for name in names)}.",
    )
