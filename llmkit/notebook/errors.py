"""Errors as a cell shows them: one line, with the whole story behind `%tb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.errors import LLMClientError

RED, PLAIN = "\x1b[31m", "\x1b[0m"


class Stopped(KeyboardInterrupt):
    """An answer was interrupted: what had arrived stays, and Run All does not go on."""

    def _render_traceback_(self) -> list[str]:
        return [f"{RED}Stopped{PLAIN}: the request was cancelled; the text so far is kept."]


def shorten(error: LLMClientError) -> LLMClientError:
    """Make an exception show itself on one line, the first time; `%tb` shows all of it.

    Args:
        error: The exception.

    Returns:
        The same exception: its class and its cause stay what they are.
    """

    def render() -> list[str]:
        vars(error).pop("_render_traceback_", None)
        name = ":".join(filter(None, (error.provider, error.model)))
        return [f"{RED}{type(error).__name__}{PLAIN}: {error}" + (f" [{name}]" if name else "")]

    vars(error)["_render_traceback_"] = render
    return error
