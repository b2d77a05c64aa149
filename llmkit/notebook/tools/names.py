"""The tools that a question names with `-x`: functions of the notebook, `python`, and servers' tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.content.tools import ToolSource, tool_of, tools_of
from llmkit.core.errors import InvalidRequestError
from llmkit.notebook.cell.values import MCP, PYTHON
from llmkit.notebook.request import look_up
from llmkit.notebook.tools.python_tool import python_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkit.content.tools import Tool


def named_tools(
    names: Iterable[str], variables: Mapping[str, Any], shell: Any
) -> tuple[Tool | Mapping[str, Any], ...]:
    """Return the tools of these names; nothing else of the notebook becomes a tool.

    Raises:
        CellError: If a name is not defined, or what it names is not a tool.
    """
    found: list[Any] = []
    for name in dict.fromkeys(names):
        try:
            found += _tools(name, variables, shell)
        except CellError:  # it names the option itself
            raise
        except InvalidRequestError as error:
            raise CellError(f"-x {name}: {error.message}", hint=error.hint or "") from error
    try:
        return tools_of(found)
    except InvalidRequestError as error:
        raise CellError(f"-x: {error.message}", hint=error.hint or "") from error


def given_tools(tools: Iterable[Any] | Callable[..., Any]) -> tuple[Any, ...]:
    """Return what `tools=` was given; servers are asked for their tools at each question."""
    given = [tools] if callable(tools) or isinstance(tools, Mapping | ToolSource) else list(tools)
    here = tools_of(one for one in given if not isinstance(one, ToolSource))
    return (*here, *(one for one in given if isinstance(one, ToolSource)))


def _tools(name: str, variables: Mapping[str, Any], shell: Any) -> Iterator[Tool | Mapping[str, Any]]:
    if name == PYTHON:
        yield python_tool(shell)
    elif name.startswith(MCP):
        yield from _of_server(name)
    else:
        value = look_up(name, variables, "-x")
        several = isinstance(value, Iterable) and not isinstance(value, Mapping | str)
        given = list(value) if several else [value]
        if not given:
            raise CellError(f"-x {name}: it has no tools.", hint="")
        for one in given:
            yield one if isinstance(one, Mapping) else tool_of(one)


def _of_server(name: str) -> Iterable[Tool]:
    """Return the tools of an MCP server that the user's settings name."""
    from llmkit.clients.mcp.server import tools_named  # loads at the first use

    return tools_named(name)
