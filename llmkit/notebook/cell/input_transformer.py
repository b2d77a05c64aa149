"""Input that IPython keeps from the magics: `%llm why?`, `%%llm -h`, and a `%%llm` below the first line.

IPython treats a final `?` as a call for help, refuses a cell magic with an empty body, and recognises a cell
magic on the first line only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import make_tokens_by_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_ASKS = re.compile(r"^(?P<left>\s*(?:[\w.,\[\]'\" ]+=\s*)?)%llm[ \t]+(?P<prompt>\S.*\?)\s*$")

_CELL = re.compile(r"^%%llm(?![\w?])(?P<line>.*)$")
_OURS = re.compile(f"{_ASKS.pattern}|{_CELL.pattern}")


def keep_questions(lines: list[str]) -> list[str]:
    r"""Turn lines with a question for `%llm` into calls of the magic; leave all others alone.

    The body of a cell magic is left alone, and so are strings, because the tokens are examined.

    Example:
        >>> keep_questions(["x = 1\n", "%llm is it one?\n"])
        ['x = 1\n', "get_ipython().run_line_magic('llm', 'is it one?')\n"]
        >>> keep_questions(["%llm?\n"])
        ['%llm?\n']
    """
    if not lines or lines[0].startswith("%%"):
        return _with_body(lines)
    if not any(map(_OURS.match, lines)):  # tokenising every cell would be slow
        return lines
    code = _code_lines(lines)
    _check_first_line(lines[number] for number in code)
    return [_call(line) if number in code else line for number, line in enumerate(lines)]


# Otherwise a terminal would treat `%%llm` as a complete cell as soon as it is typed.
keep_questions.has_side_effects = True  # type: ignore[attr-defined]  # read by IPython


def _check_first_line(lines: Iterable[str]) -> None:
    if any(map(_CELL.match, lines)):
        raise UsageError(
            "%%llm must be the first line of its cell. Move the lines above it into a cell of their own, or "
            "below it, as part of the prompt."
        )


def _with_body(lines: list[str]) -> list[str]:
    """Add an empty body to a cell magic that has none, so that `%%llm -h` shows help."""
    bare = _CELL.match(lines[0]) if len(lines) == 1 else None
    if bare is None:
        return lines
    return [f"get_ipython().run_cell_magic('llm', {bare['line'].strip()!r}, '\\n')\n"]


def _code_lines(lines: list[str]) -> set[int]:
    """Return the numbers of the lines where a percent sign is code, not part of a string or comment."""
    tokens = (token for line in make_tokens_by_line(lines) for token in line)
    return {token.start[0] - 1 for token in tokens if token.string == "%"}


def _call(line: str) -> str:
    match = _ASKS.match(line)
    if match is None:
        return line
    return f"{match['left']}get_ipython().run_line_magic('llm', {match['prompt']!r})\n"
