"""The names that a line can see: a function's locals, its module's globals, then the notebook's.

IPython gives a cell magic the globals only, so the names are read from the caller's frame. A nested function
holds a name of the enclosing function only if its own code uses it, and a magic's text is not code. Such a
name is refused, because the global of the same name is another value.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
import warnings
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from llmkit.content.template import CellError
from llmkit.core import compat

# The packages that stand between a magic and the code that calls it.
_INTERNAL = frozenset({"IPython", "ipykernel", "llmkit", "decorator"})
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Scope(Mapping[str, Any]):
    """The variables that a question can read, and where its answer is assigned.

    Example:
        >>> scope = Scope({"city": "Oslo"})
        >>> scope["city"], "river" in scope
        ('Oslo', False)
    """

    def __init__(self, space: dict[str, Any], frame: FrameType | None = None) -> None:
        self._space = space
        self._module = {} if frame is None or frame.f_globals is space else frame.f_globals
        self._frame = frame if frame is not None and frame.f_locals is not space else None
        self._locals: dict[str, Any] = {}
        self._hidden: dict[str, str] = {}
        if self._frame is not None:
            self._locals, self._hidden = _names_of(self._frame)

    def __getitem__(self, name: str) -> Any:
        if name in self._hidden:
            raise CellError(self._hidden[name], hint="")
        # As in Python: the function's names, then its module's; the notebook's come last.
        for names in (self._locals, self._module):
            if name in names:
                return names[name]
        return self._space[name]

    def __contains__(self, name: object) -> bool:
        if name in self._hidden:
            raise CellError(self._hidden[str(name)], hint="")
        return name in self._locals or name in self._module or name in self._space

    def __iter__(self) -> Iterator[str]:
        yield from self._locals
        seen = self._locals.keys() | self._hidden.keys()
        yield from (name for name in self._module if name not in seen)
        yield from (name for name in self._space if name not in seen and name not in self._module)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def locals(self) -> dict[str, Any]:
        """The local variables of the calling function; empty at the top level of a cell."""
        return self._locals

    def check(self, name: str) -> None:
        """Refuse a variable that `assign` cannot set; called before anything is sent."""
        frame = self._frame
        if (
            frame is None
            or not _is_function(frame.f_code)
            or compat.FRAME_LOCALS_CAN_BE_SET
            or name not in _own(frame.f_code)
        ):
            return
        raise CellError(
            f"-o {name}: {name} is a local variable of {frame.f_code.co_name}, which a magic cannot set.",
            hint=f"Write {name} = %llm …, or take a name that the function does not assign.",
        )

    def assign(self, name: str, value: object) -> None:
        """Set a variable: the function's own if it has one of this name, else the notebook's."""
        frame = self._frame
        if frame is None or is_top_level(frame, self._space):
            self._space[name] = value
        elif not _is_function(frame.f_code) or name in _own(frame.f_code):
            frame.f_locals[name] = value
        else:
            self._space[name] = value

    def assignment_note(self, name: str) -> str:
        """Return a note if `assign` sets a global instead of a local of the function."""
        frame = self._frame
        if frame is None or not _is_function(frame.f_code) or name in _own(frame.f_code):
            return ""
        return f"{name} is set as a global: a magic cannot create a local variable of {frame.f_code.co_name}."


def caller() -> FrameType | None:
    """Return the frame that called llmkit: the first one that is neither ours nor IPython's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's names
    while frame is not None and package_of(frame) in _INTERNAL:
        frame = frame.f_back
    return None if frame is None or is_internal(frame) else frame


def is_internal(frame: FrameType) -> bool:
    """Whether a frame is not the user's: llmkit's, IPython's, or Python's own library."""
    package = package_of(frame)
    return package in _INTERNAL or (package in sys.stdlib_module_names and package != "__main__")


def package_of(frame: FrameType) -> str:
    """Return the top-level package of a frame's module."""
    if frame.f_code.co_filename.startswith(compat.DECORATOR_FILE):
        return "decorator"
    return str(frame.f_globals.get("__name__") or "").partition(".")[0]


def _is_function(code: CodeType) -> bool:
    # Only functions have this flag; module and class bodies keep their names in a dict.
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def is_top_level(frame: FrameType, space: dict[str, Any]) -> bool:
    """Whether a frame is a cell's own; since Python 3.12 (PEP 709) it includes its comprehensions."""
    return frame.f_globals is space and compat.is_top_level(frame.f_code)


def _own(code: CodeType) -> set[str]:
    # Variables that closures share are in cells, which Python lists apart.
    return {*code.co_varnames, *code.co_cellvars, *code.co_freevars}


def _names_of(frame: FrameType) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the local names that a frame can see, and hidden ones with the reason."""
    found = {name: value for name, value in frame.f_locals.items() if name.isidentifier()}
    code, outer = frame.f_code, frame.f_back
    if _runs_at_once(code) and outer is not None and code in outer.f_code.co_consts:
        before, hidden = _names_around(outer)
    else:
        before, hidden = {}, {name: _unset(name, code) for name in _missing(code)}
        for name, where in _enclosing(code):
            hidden.setdefault(name, _out_of_sight(name, where, code))
    return {**before, **found}, {name: why for name, why in hidden.items() if name not in found}


def _names_around(outer: FrameType) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the names of the enclosing frame that a comprehension or class body can see.

    Code inside a class body does not see its names, and the names of a cell are globals.
    """
    return _names_of(outer) if _is_function(outer.f_code) else ({}, {})


def _runs_at_once(code: CodeType) -> bool:
    """Whether code runs in place, with the surrounding names: a comprehension, a class body."""
    return code.co_name in _COMPREHENSIONS or not _is_function(code)


def _missing(code: CodeType) -> set[str]:
    """Return the names that are local to a function; those of a comprehension alone do not count."""
    if not _is_function(code):
        return set()
    instructions = list(dis.get_instructions(code))
    # PEP 709: an inlined comprehension borrows a local of the function for its variable.
    borrowed = {each.argval for each in instructions if each.opname == "LOAD_FAST_AND_CLEAR"}
    return _own(code) - borrowed


def _enclosing(code: CodeType) -> Iterator[tuple[str, str]]:
    """Yield the names of the enclosing functions and the function of each, innermost first."""
    if "<locals>" not in code.co_qualname:
        return
    source = "".join(linecache.getlines(code.co_filename))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shown when the code was first compiled
            whole = compile(
                source, code.co_filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
    except (SyntaxError, ValueError):
        return
    for parent in reversed(_path(whole, code) or []):
        if _is_function(parent):
            yield from ((name, parent.co_name) for name in _own(parent))


def _path(code: CodeType, wanted: CodeType) -> list[CodeType] | None:
    """Return the code objects that enclose one, outermost first."""
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        # By name and line, because the source was compiled anew.
        if (inner.co_qualname, inner.co_firstlineno) == (wanted.co_qualname, wanted.co_firstlineno):
            return [code]
        if (path := _path(inner, wanted)) is not None:
            return [code, *path]
    return None


def _unset(name: str, code: CodeType) -> str:
    return f"{name} is a local variable of {code.co_name} and has no value yet. Set it above this line."


def _out_of_sight(name: str, where: str, code: CodeType) -> str:
    return (
        f"{name} belongs to {where}, and {code.co_name} cannot see it. "
        f"Name it in a line of {code.co_name} above this one, as in `{name}`, or pass it as a parameter."
    )
