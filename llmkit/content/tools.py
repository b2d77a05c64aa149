"""Tools: Python functions that a model may call, and their description for it."""

from __future__ import annotations

import functools
import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_type_hints, overload

from llmkit.content.parts import json_text
from llmkit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from llmkit.content.parts import ToolCall

F = TypeVar("F", bound=Callable[..., Any])

Approve: TypeAlias = "Literal['never', 'always', 'person'] | Callable[[ToolCall], Any]"
"""Whether somebody has to allow a call: `"never"`, `"always"`, `"person"` (`approve=True` is not enough), or
a function that decides on each call."""

_CHOICES = ("auto", "none", "required")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that all providers accept."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool that a model may call; `llmkit.tool` makes one of a function.

    Attributes:
        name: Its name: 1 to 64 letters, digits, `_` and `-`.
        description: What it does, for the model.
        parameters: JSON schema of its arguments, an object.
        function: What runs: a function, or an `async` one. It gets the arguments by name.
        approve: Whether somebody has to allow a call.
        timeout: Seconds that a call may take.
        max_result: Characters of a result that the model gets; a longer one is cut, and says so.
        rerun: Whether replay runs it again instead of taking its recorded result.
        pinned: What an approval for the session covers beside the name, e.g. a digest of the description.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any] = field(repr=False)
    approve: Approve = "never"
    timeout: float = 30.0
    max_result: int = 20_000
    rerun: bool = False
    pinned: str = ""
    arguments: type[BaseModel] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidRequestError(
                f"{self.name!r:.80} is not a name for a tool.",
                hint="Use 1 to 64 letters, digits, _ and -: @llmkit.tool(name=…).",
            )
        if not (self.approve in ("never", "always", "person") or callable(self.approve)):
            raise InvalidRequestError(
                f"approve must be 'never', 'always' or a function, got {self.approve!r:.40}."
            )
        for option, kinds in (("timeout", int | float), ("max_result", int)):
            value = getattr(self, option)
            if not (isinstance(value, kinds) and 0 < value < math.inf):
                raise InvalidRequestError(f"{option} must be a positive number, got {value!r:.40}.")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function itself."""
        return self.function(*arguments, **named)

    def validated(self, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the arguments of a call in the types of the function.

        Raises:
            ValueError: If they do not fit; the message says what is wrong, for the model.
        """
        if arguments is None:
            raise ValueError("they are not a JSON object")
        if self.arguments is None:
            _check_against(self.parameters, arguments)
            return dict(arguments)
        from pydantic import ValidationError

        try:
            model = self.arguments.model_validate(arguments)
        except ValidationError as error:
            raise ValueError(problems(error)) from None
        except Exception as error:
            raise ValueError(f"{type(error).__name__} while they were checked") from error
        fields = self.arguments.model_fields
        return {
            str(fields[name].alias): getattr(model, name) for name in fields if name in model.model_fields_set
        }


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    approve: Approve = "never",
    timeout: float = 30.0,
    max_result: int = 20_000,
    rerun: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a tool of a function: its name, signature and docstring are its description for the model.

    A plain function in `tools=` is a tool, too; this is for the options.

    Args:
        function: The function, plain or `async`. Each parameter needs a type; a section `Args:` in the
            docstring describes them.
        **options: `name` and `description`, instead of the function's; `approve`: `"never"`, `"always"`, or
            a function that gets the `ToolCall` and returns whether it may run, or a changed `ToolCall`;
            `timeout` in seconds (30); `max_result` in characters (20,000); `rerun`: whether replay runs it
            again.

    Returns:
        The `Tool`, which can still be called as the function.

    Raises:
        InvalidRequestError: If the signature has no JSON schema, or an option is unknown.

    Example:
        >>> @tool(approve="always")
        ... def add(a: int, b: int = 1) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> add.name, add.description, add.parameters["required"]
        ('add', 'Add two numbers.', ['a'])
        >>> add(1, 2)
        3
    """
    if function is not None:
        return _of_function(function, **options)
    return lambda decorated: _of_function(decorated, **options)


class ToolSource(ABC):
    """Something that has tools, such as a server; `tools=` takes it in place of them."""

    @property
    def title(self) -> str:
        """What a person reads of it."""
        return type(self).__name__

    @abstractmethod
    def __iter__(self) -> Iterator[Tool]:
        """Return the tools that there are now."""


def spread(given: Any) -> list[Any]:
    """Return what `tools=` was given one by one, with the tools of a source in its place.

    Example:
        >>> spread(print) == spread([print]) == [print]
        True
    """
    if isinstance(given, str | Mapping | ToolSource) or callable(given):
        given = [given]
    if not isinstance(given, Iterable | None):
        raise _no_tool(given)
    return [tool for one in given or () for tool in (one if isinstance(one, ToolSource) else [one])]


def tool_of(given: Tool | Callable[..., Any]) -> Tool:
    """Return a tool, or make one of a function.

    Raises:
        InvalidRequestError: If it is neither, or the signature has no JSON schema.
    """
    return given if isinstance(given, Tool) else _of_function(given)


def tools_of(given: Iterable[Any]) -> tuple[Tool | Mapping[str, Any], ...]:
    """Return the tools of `tools=`; a dict is a tool of the provider, and stays as it is.

    Raises:
        InvalidRequestError: If two have one name, or one is no tool.

    Example:
        >>> [one if isinstance(one, dict) else one.name for one in tools_of([{"type": "web_search"}])]
        [{'type': 'web_search'}]
    """
    found = [dict(one) if isinstance(one, Mapping) else tool_of(one) for one in spread(given)]
    names = [one.name if isinstance(one, Tool) else _name_in(one) for one in found]
    for name in filter(None, names):
        if names.count(name) > 1:
            raise InvalidRequestError(
                f"Two tools are named {name:.80}.", hint="Rename one: llmkit.tool(name=…)."
            )
    return tuple(found)


def _name_in(given: Mapping[str, Any]) -> str:
    """Return the name of a function that is described in a provider's form; empty for other tools."""
    inner = given.get("function")
    name = inner.get("name") if isinstance(inner, Mapping) else given.get("name")
    return name if isinstance(name, str) else ""


def tools_among(
    options: dict[str, Any],
) -> tuple[tuple[Tool | Mapping[str, Any], ...], str | Mapping[str, Any] | None]:
    """Take `tools` and `tool_choice` out of a call's options; the provider's own dicts alone stay there."""
    given = options.get("tools")
    if given is None:
        options.pop("tools", None)
        return (), None
    if callable(given) or isinstance(given, ToolSource):
        given = [given]
    _check_kinds([given] if isinstance(given, str) else given)
    if not isinstance(given, list | tuple) or not any(map(_is_ours, given)):
        # These words are ours, whosever the tools are.
        is_ours = given and options.get("tool_choice") in _CHOICES
        return (), options.pop("tool_choice") if is_ours else None
    del options["tools"]
    return tools_of(given), options.pop("tool_choice", None)


def _check_kinds(given: Any) -> None:
    for one in given if isinstance(given, list | tuple) else ():
        if one is None or isinstance(one, str | int | float):
            raise _no_tool(one)


def _no_tool(given: Any) -> InvalidRequestError:
    own = "Pass the function itself, not its name." if isinstance(given, str) else ""
    return InvalidRequestError(
        f"{given!r:.40} is not a tool.", hint=own or "Pass functions, or the provider's own tools as dicts."
    )


def _is_ours(given: Any) -> bool:
    return callable(given) or isinstance(given, ToolSource)  # a `Tool` is callable, too


def described(tools: Iterable[Tool | Mapping[str, Any]]) -> str:
    """Return what is sent about tools, as JSON text, to count its tokens."""
    return json_text([signature(one) if isinstance(one, Tool) else dict(one) for one in tools])


def signature(tool: Tool) -> dict[str, Any]:
    """Return what a model is told about a tool, as JSON values."""
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _of_function(function: Callable[..., Any], **options: Any) -> Tool:
    unknown = options.keys() - {"name", "description", "approve", "timeout", "max_result", "rerun"}
    if unknown:
        raise InvalidRequestError(f"llmkit.tool has no option {min(unknown)}.")
    if not callable(function):
        raise _no_tool(function)
    inner = _inner(function)
    name = options.pop("name", None) or getattr(function, "__name__", "") or getattr(inner, "__name__", "")
    name = name or type(inner).__name__
    text = inspect.getdoc(inner) or ""
    summary, described = _docstring(text)
    arguments = _arguments(function, name, described)
    schema = arguments.model_json_schema()
    return Tool(
        name=name,
        description=options.pop("description", None) or summary,
        parameters=_without_titles(schema),
        function=function,
        arguments=arguments,
        **options,
    )


def _arguments(function: Callable[..., Any], name: str, described: Mapping[str, str]) -> type[BaseModel]:
    """Return a pydantic model of a function's parameters."""
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError

    fields: dict[str, Any] = {}
    try:
        hints = _hints(function)
        for number, each in enumerate(inspect.signature(function).parameters.values()):
            if each.kind in {each.VAR_KEYWORD, each.VAR_POSITIONAL, each.POSITIONAL_ONLY}:
                raise _unfit(name, f"its parameter {each.name} cannot be given by name")
            default = ... if each.default is each.empty else each.default
            told = Field(default, alias=each.name, description=described.get(each.name))
            kind = Any if each.annotation is each.empty else each.annotation
            fields[f"p{number}"] = (hints.get(each.name, kind), told)  # names such as `json` would clash
        made: type[BaseModel] = create_model(
            "Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields
        )
        made.model_json_schema()
    except (
        PydanticSchemaGenerationError,
        PydanticInvalidForJsonSchema,
        PydanticUserError,
        NameError,
    ) as error:
        raise _unfit(name, str(error).splitlines()[0].partition(". Set ")[0]) from error
    except (TypeError, ValueError) as error:
        raise _unfit(name, str(error)) from error
    return made


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself, without arguments that `functools.partial` fixed."""
    return _inner(function.func) if isinstance(function, functools.partial) else function


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the parameters; that of the result need not exist."""
    inner = _inner(function)
    if isinstance(inner, type):
        inner = inner.__init__  # type: ignore[misc]  # of this class, not of an instance
    elif not hasattr(inner, "__annotations__") or not hasattr(inner, "__name__"):
        inner = type(inner).__call__
    inner = inspect.unwrap(inner)
    names = getattr(inner, "__globals__", {})
    parameters = FunctionType((lambda: None).__code__, names)
    parameters.__annotations__ = {
        name: kind for name, kind in inspect.get_annotations(inner).items() if name != "return"
    }
    return get_type_hints(parameters, include_extras=True)


def _unfit(name: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The function {name} has no JSON schema: {reason.rstrip('.')}.",
        hint="Give each parameter a type of JSON: str, int, float, bool, list, dict, Literal, a dataclass.",
    )


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's description, and that of each parameter in its section `Args:`."""
    sections = re.split(
        r"(?m)^(Args|Arguments|Parameters|Returns|Raises|Yields|Example|Examples|Note):\s*$", text
    )
    described: dict[str, str] = {}
    for title, body in zip(sections[1::2], sections[2::2], strict=True):
        if title in {"Args", "Arguments", "Parameters"}:
            described = {
                found[1]: " ".join(found[2].split())
                for found in re.finditer(
                    r"(?ms)^ +\*{0,2}(\w+)(?: \([^)]*\))?: *(.+?)(?=^ +\*{0,2}\w+(?: \([^)]*\))?:|\Z)", body
                )
            }
    return " ".join(sections[0].split()), described


def _without_titles(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names; a property may be named `title`."""
    if isinstance(schema, dict):
        return {
            name: {inner: _without_titles(one) for inner, one in value.items()}
            if name in {"properties", "$defs"} and isinstance(value, dict)
            else _without_titles(value)
            for name, value in schema.items()
            if name != "title" or not isinstance(value, str)
        }
    return [_without_titles(one) for one in schema] if isinstance(schema, list) else schema


def problems(error: Any) -> str:
    """Return what is wrong with arguments, without the model's values."""
    found = (f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())
    return "; ".join(found)[:1000]


def _check_against(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    import jsonschema
    from referencing import Registry

    try:
        kind = jsonschema.validators.validator_for(dict(schema))
        checker = kind(dict(schema), registry=Registry())  # which loads nothing that the schema refers to
        problems = [
            f"{'.'.join(map(str, one.absolute_path)) or 'arguments'}: {one.message}"
            for one in checker.iter_errors(dict(arguments))
        ]
    except Exception as error:
        raise ValueError(f"the tool's schema is invalid ({type(error).__name__})") from error
    if problems:
        raise ValueError("; ".join(problems)[:1000])
