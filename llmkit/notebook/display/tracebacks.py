"""llmkit's errors in a cell: their sentence and the user's own lines; `%tb` shows the frames.

IPython asks an exception for its own rendering. While `%load_ext llmkit` is in force, llmkit's errors have
one as long as they are being handled, which is when a cell fails. Later, as for `%tb`, they have none and
IPython shows every frame.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import LLMClientError
from llmkit.notebook.display.error_messages import headline
from llmkit.notebook.display.plain_text import without_controls
from llmkit.notebook.scope import is_internal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

LINES = 4
"""Lines of the user's that are shown, the last ones."""

WIDTH = 160
"""Characters of a line that are shown."""

_NAME = "_render_traceback_"
_LIBRARIES = frozenset({"site-packages", "dist-packages"})


class _Short:
    """Gives an exception its short rendering; a plain attribute of an exception goes before it."""

    def __init__(self, shell: Any, wanted: Callable[[], bool]) -> None:
        self._shell = shell
        self._wanted = wanted

    def __get__(self, error: LLMClientError | None, _: type | None = None) -> Any:
        if error is None or sys.exc_info()[1] is not error or not self._wanted():
            raise AttributeError(_NAME)
        return lambda: render(error, self._shell)


def install(shell: Any, wanted: Callable[[], bool]) -> None:
    """Let llmkit's errors show themselves short in the cells of a shell."""
    setattr(LLMClientError, _NAME, _Short(shell, wanted))
    shell.InteractiveTB.structured_traceback = _with_short_causes(
        shell.InteractiveTB.structured_traceback, wanted
    )


def uninstall(shell: Any) -> None:
    """Take back what `install` did."""
    with contextlib.suppress(AttributeError):
        delattr(LLMClientError, _NAME)
    vars(shell.InteractiveTB).pop("structured_traceback", None)


def _with_short_causes(structured: Any, wanted: Callable[[], bool]) -> Any:
    """Return IPython's method that leaves llmkit's frames out of causes: other errors keep all of theirs."""

    def short(
        etype: type[BaseException], value: BaseException, trace: Any, *args: Any, **options: Any
    ) -> Any:
        if sys.exc_info()[1] is not value or not wanted():
            return structured(etype, value, trace, *args, **options)
        with _hidden([each for each in _causes(value) if isinstance(each, LLMClientError)]):
            return structured(etype, value, trace, *args, **options)

    return short


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error was raised from, the nearest first."""
    seen = {id(error)}
    found = error.__cause__ or error.__context__
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


@contextlib.contextmanager
def _hidden(errors: list[LLMClientError]) -> Iterator[None]:
    """Let errors have the user's own frames only, until the block is over."""
    whole = [error.__traceback__ for error in errors]
    try:
        for error in errors:
            error.__traceback__ = _pruned(error.__traceback__)
        yield
    finally:
        for error, trace in zip(errors, whole, strict=True):
            error.__traceback__ = trace


def _pruned(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without frames of llmkit and libraries; all of it if nothing else is there."""
    own = [each for each in _steps(trace) if _is_own(each.tb_frame)]
    found: TracebackType | None = None
    for each in reversed(own):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found or trace


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def render(error: LLMClientError, shell: Any = None) -> list[str]:
    """Return the lines that a cell shows for an error."""
    own = [each for each in _steps(error.__traceback__) if _is_own(each.tb_frame)]
    return [*(_place(each.tb_frame, each.tb_lineno, shell) for each in own[-LINES:]), headline(error)]


def _is_own(frame: FrameType) -> bool:
    """Whether a frame is the user's: a cell or a module, not a library."""
    return not is_internal(frame) and not _LIBRARIES & set(Path(frame.f_code.co_filename).parts)


def _place(frame: FrameType, line: int, shell: Any) -> str:
    from llmkit.core.redaction import redact  # loads at the first error, not with the extension

    file = frame.f_code.co_filename
    source = redact(linecache.getline(file, line, frame.f_globals).strip())
    name = f", in {frame.f_code.co_name}" if frame.f_code.co_name != "<module>" else ""
    shown = source if len(source) <= WIDTH else f"{source[: WIDTH - 1]}…"
    return without_controls(f"{_cell(file, shell)}, line {line}{name}\n    {shown}")


def _cell(file: str, shell: Any) -> str:
    """Return what a file is called: a cell by its number."""
    known = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(file)
    return file if known is None else " ".join(known)
