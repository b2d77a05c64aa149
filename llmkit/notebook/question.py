"""Let `%llm why is this slow?` reach the magic: IPython takes a final `?` for a call for help."""

from __future__ import annotations

import re

from IPython.core.inputtransformer2 import make_tokens_by_line

_ASKS = re.compile(r"^(?P<left>\s*(?:[\w.,\[\]'\" ]+=\s*)?)%llm[ \t]+(?P<prompt>\S.*\?)\s*$")


def keep_questions(lines: list[str]) -> list[str]:
    r"""Turn lines with a question for `%llm` into calls of the magic; leave all others alone.

    A cell magic's text is its own, and it looks at the tokens, so it does not touch a string.

    Args:
        lines: The cell's lines, each with its end.

    Returns:
        The lines.

    Example:
        >>> keep_questions(["x = 1\n", "%llm is it one?\n"])
        ['x = 1\n', "get_ipython().run_line_magic('llm', 'is it one?')\n"]
        >>> keep_questions(["%llm?\n"])
        ['%llm?\n']
    """
    if not lines or lines[0].startswith("%%") or not any(_ASKS.match(line) for line in lines):
        return lines
    code = _code_lines(lines)
    return [_call(line) if number in code else line for number, line in enumerate(lines)]


def _code_lines(lines: list[str]) -> set[int]:
    """Return the lines where a percent sign is code: not in a string, not in a comment."""
    tokens = (token for line in make_tokens_by_line(lines) for token in line)
    return {token.start[0] - 1 for token in tokens if token.string == "%"}


def _call(line: str) -> str:
    match = _ASKS.match(line)
    if match is None:
        return line
    return f"{match['left']}get_ipython().run_line_magic('llm', {match['prompt']!r})\n"
