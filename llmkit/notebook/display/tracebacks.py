"""Short errors in a cell: the message and the user's own lines; `%tb` shows all frames.

IPython asks an exception for its own rendering. After `%load_ext llmkit`, llmkit's errors have one while they
are being handled, which is when a cell fails. `%tb` runs later and shows every frame. The same goes for a
`ValueError` or `TypeError` that llmkit raises, for example for a wrong argument.
"""

from __future__ import annotations

import contextlib
import dis
import linecache
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.core import compat
from llmkit.core.errors import LLMClientError
from llmkit.notebook.display.error_messages import headline
from llmkit.notebook.display.plain_text import without_controls
from llmkit.notebook.scope import is_internal, package_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

LINES = 4
"""Maximum number of the user's lines to show; the last ones are kept."""

WIDTH = 160
"""Maximum length of a shown line, in characters."""

_NAME = "_render_traceback_"
_LIBRARIES = frozenset({"site-packages", "dist-packages"})


class _Short:
    """Descriptor that returns the short rendering; an attribute of the exception itself overrides it."""

    def __init__(self, shell: Any, wanted: Callable[[], bool]) -> None:
        self._shell = shell
        self._wanted = wanted

    def __get__(self, error: LLMClientError | None, _: type | None = None) -> Any:
        if error is None or not _is_handled(error) or not self._wanted():
            raise AttributeError(_NAME)
        return lambda: render(error, self._shell)


def install(shell: Any, wanted: Callable[[], bool]) -> None:
    """Shorten llmkit's errors in the cells of a shell."""
    setattr(LLMClientError, _NAME, _Short(shell, wanted))
    original = shell.InteractiveTB.structured_traceback
    shell.InteractiveTB.structured_traceback = _shortened(original, shell, wanted)


def uninstall(shell: Any) -> None:
    """Undo `install`."""
    with contextlib.suppress(AttributeError):
        delattr(LLMClientError, _NAME)
    vars(shell.InteractiveTB).pop("structured_traceback", None)


def _shortened(structured: Any, shell: Any, wanted: Callable[[], bool]) -> Any:
    """Wrap IPython's method: llmkit's `ValueError` is short, and causes lack llmkit's frames."""

    def short(
        etype: type[BaseException], value: BaseException, trace: Any, *args: Any, **options: Any
    ) -> Any:
        if not _is_handled(value) or not wanted():
            return structured(etype, value, trace, *args, **options)
        if _is_refusal(value):
            return render(value, shell)
        with _hidden([each for each in _causes(value) if isinstance(each, LLMClientError)]):
            return structured(etype, value, trace, *args, **options)

    return short


def _is_handled(error: BaseException) -> bool:
    """Whether a cell fails with this error now; IPython 7 asks while it handles an error of its own, too."""
    handled = sys.exc_info()[1]
    return handled is not None and (handled is error or handled.__context__ is error)


def _is_refusal(error: BaseException) -> bool:
    """Whether llmkit itself refused an argument."""
    steps = list(_steps(error.__traceback__))
    if (
        not isinstance(error, (ValueError, TypeError))
        or not steps
        or package_of(steps[-1].tb_frame) != "llmkit"
    ):
        return False
    # Only a `raise` statement has a message for the user; any other failing instruction is a bug of llmkit.
    return dis.opname[steps[-1].tb_frame.f_code.co_code[steps[-1].tb_lasti]] == "RAISE_VARARGS"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the chain of causes of an error, the nearest first."""
    seen = {id(error)}
    found = error.__cause__ or error.__context__
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


@contextlib.contextmanager
def _hidden(errors: list[LLMClientError]) -> Iterator[None]:
    """Remove all but the user's frames from errors, within a `with` block."""
    whole = [error.__traceback__ for error in errors]
    try:
        for error in errors:
            error.__traceback__ = _pruned(error.__traceback__)
        yield
    finally:
        for error, trace in zip(errors, whole, strict=True):
            error.__traceback__ = trace


def _pruned(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without frames of llmkit and libraries; unchanged if no other frame is left."""
    own = [each for each in _steps(trace) if _is_own(each.tb_frame)]
    found: TracebackType | None = None
    for each in reversed(own):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found or trace


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def render(error: BaseException, shell: Any = None) -> list[str]:
    """Return the lines that a cell shows for an error."""
    own = [each for each in _steps(error.__traceback__) if _is_own(each.tb_frame)]
    return [*(_place(each.tb_frame, each.tb_lineno, shell) for each in own[-LINES:]), headline(error)]


def _is_own(frame: FrameType) -> bool:
    """Whether a frame belongs to the user: a cell or a module, not a library."""
    return not is_internal(frame) and not _LIBRARIES & set(Path(frame.f_code.co_filename).parts)


def _place(frame: FrameType, line: int, shell: Any) -> str:
    from llmkit.core.redaction import redact  # loads at the first error, not with the extension

    file = frame.f_code.co_filename
    source = redact(linecache.getline(file, line, frame.f_globals).strip())
    name = "" if compat.is_top_level(frame.f_code) else f", in {frame.f_code.co_name}"
    shown = source if len(source) <= WIDTH else f"{source[: WIDTH - 1]}…"
    return without_controls(f"{_cell(file, shell)}, line {line}{name}\n    {shown}")


def _cell(file: str, shell: Any) -> str:
    """Return the name of a file; of a cell, its number."""
    known = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(file)
    return file if known is None else " ".join(known)
