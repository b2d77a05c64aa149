"""What help shows for a verb: its own arguments and the options that all verbs have."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from functools import cache, wraps
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llmkit.frames.options import Options
from llmkit.frames.table import is_dask

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

WIDTH = 110

_PLACE = re.compile(r"^( *)\*\*options: .*$", re.MULTILINE)


def verb(function: F) -> F:
    """Show the options in a verb's signature, where its code has `**options`, and in its docstring.

    Given a Dask frame, it makes a lazy one.
    """
    own = inspect.signature(function)
    named = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
    there = {one.name for one in named}
    options = [one for one in _parameters() if one.name not in there]
    function.__signature__ = own.replace(parameters=[*named, *options])  # type: ignore[attr-defined]  # as inspect reads it
    function.__doc__ = _PLACE.sub(lambda match: _described(match[1], there), function.__doc__ or "")
    return _lazy_on_dask(function, own)


def _lazy_on_dask(function: F, own: inspect.Signature) -> F:
    def given(*arguments: Any, **options: Any) -> dict[str, Any]:
        bound = own.bind(*arguments, **options).arguments
        others = bound.pop("options", {})
        return {**bound, **others}

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def asked(frame: Any, *arguments: Any, **options: Any) -> Any:
            if is_dask(frame):
                from llmkit.frames.dask_frames import lazily

                return lazily(function.__name__.removeprefix("a"), **given(frame, *arguments, **options))
            return await function(frame, *arguments, **options)

    else:

        @wraps(function)
        def asked(frame: Any, *arguments: Any, **options: Any) -> Any:
            if is_dask(frame):
                from llmkit.frames.dask_frames import lazily

                return lazily(function.__name__, **given(frame, *arguments, **options))
            return function(frame, *arguments, **options)

    return cast("F", asked)


@cache
def _parameters() -> tuple[inspect.Parameter, ...]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = [
        inspect.Parameter(
            one.name, keyword, default={} if one.default is MISSING else one.default, annotation=one.type
        )
        for one in fields(Options)
        if one.name != "params"
    ]
    return (*found, inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD, annotation="Any"))


@cache
def _lines() -> dict[str, str]:
    """Return the description of each option, from the docstring of `Options`."""
    text = inspect.getdoc(Options) or ""
    found: dict[str, str] = {}
    for line in text.partition("Attributes:\n")[2].splitlines():
        name, colon, _ = line.strip().partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     "):
            found[name] = line.strip()
            last = name
        elif found:
            found[last] += f" {line.strip()}"
    return found


def _described(indent: str, there: set[str]) -> str:
    lines = [text for name, text in _lines().items() if name not in there and name != "params"]
    lines.append(f"**params{_lines()['params'].removeprefix('params')}")
    wrap = TextWrapper(WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
    return "\n".join(map(wrap.fill, lines))
