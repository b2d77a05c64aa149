"""What IPython would not let reach the magics: `%llm why?`, `%%llm -h`, and a `%%llm` that is not on top.

It takes a final `?` for a call for help, refuses a cell magic without lines below, and knows one on the first
line only.
"""

from __future__ import annotations

import re

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import make_tokens_by_line

_ASKS = re.compile(r"^(?P<left>\s*(?:[\w.,\[\]'\" ]+=\s*)?)%llm[ \t]+(?P<prompt>\S.*\?)\s*$")

_CELL = re.compile(r"^%%llm(?![\w?])(?P<line>.*)$")


def keep_questions(lines: list[str]) -> list[str]:
    r"""Turn lines with a question for `%llm` into calls of the magic; leave all others alone.

    A cell magic's text is its own, and it looks at the tokens, so it does not touch a string.

    Example:
        >>> keep_questions(["x = 1\n", "%llm is it one?\n"])
        ['x = 1\n', "get_ipython().run_line_magic('llm', 'is it one?')\n"]
        >>> keep_questions(["%llm?\n"])
        ['%llm?\n']
    """
    if not lines or lines[0].startswith("%%"):
        return _with_body(lines)
    if not any(_ASKS.match(line) or _CELL.match(line) for line in lines):
        return lines
    code = _code_lines(lines)
    if any(_CELL.match(line) for number, line in enumerate(lines) if number in code):
        raise UsageError(
            "%%llm must be the first line of its cell. Move what stands above it into a cell of its own, or "
            "below it, as part of the prompt."
        )
    return [_call(line) if number in code else line for number, line in enumerate(lines)]


# Otherwise a terminal would take `%%llm` for a whole cell as soon as it is typed.
keep_questions.has_side_effects = True  # type: ignore[attr-defined]  # IPython asks for it


def _with_body(lines: list[str]) -> list[str]:
    """Give a cell magic without lines below an empty one, so that `%%llm -h` helps."""
    bare = _CELL.match(lines[0]) if len(lines) == 1 else None
    if bare is None:
        return lines
    return [f"get_ipython().run_cell_magic('llm', {bare['line'].strip()!r}, '\\n')\n"]


def _code_lines(lines: list[str]) -> set[int]:
    """Return the lines where a percent sign is code: not in a string, not in a comment."""
    tokens = (token for line in make_tokens_by_line(lines) for token in line)
    return {token.start[0] - 1 for token in tokens if token.string == "%"}


def _call(line: str) -> str:
    match = _ASKS.match(line)
    if match is None:
        return line
    return f"{match['left']}get_ipython().run_line_magic('llm', {match['prompt']!r})\n"
