"""The line that a job over a table shows in a notebook: one output, of which the last state is saved."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING

from IPython.display import display, update_display

from llmkit.notebook.display.markdown.render import page
from llmkit.notebook.shell import current_shell, has_kernel

if TYPE_CHECKING:
    from llmkit.frames.progress import Progress


class ProgressLine:
    """Shows a line and a bar; when the job ends, the line alone stays."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._last = ""

    def show(self, progress: Progress) -> None:
        """Replace the line."""
        self._display(progress, _bar(progress))

    def end(self, progress: Progress) -> None:
        """Show the last line."""
        self._display(progress, "")

    def _display(self, progress: Progress, bar: str) -> None:
        html = page(f'<p class="llmkit-status">{bar}{_parts(progress)}</p>')
        if html == self._last:
            return
        data = {"text/plain": progress.line(), "text/html": html}
        if self._id is None:
            self._id = os.urandom(8).hex()
            display(data, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]  # IPython has no types
        else:
            update_display(data, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]  # as above
        self._last = html


def progress_line() -> ProgressLine | None:
    """Return the display of a job; `None` if no front end shows it."""
    return ProgressLine() if has_kernel(current_shell()) else None


def _bar(progress: Progress) -> str:
    return (
        f'<progress max="{max(progress.rows, 1)}" value="{progress.done}" aria-label="rows"'
        ' style="width: 9em; margin-right: .8em; vertical-align: -.1em; accent-color: #0b57d0"></progress>'
    )


def _parts(progress: Progress) -> str:
    """Return the parts of the line; the first is as wide as it will be, so that the others stay in place."""
    first, *others = map(escape, progress.parts())
    if not progress.ended:
        width = 2 * len(f"{progress.rows:,}") + 1
        first = f'<span style="display: inline-block; min-width: {width}ch; text-align: end">{first}</span>'
    failed = f"{progress.failed:,} failed"
    return " · ".join(
        [first, *(f'<span class="llmkit-warn">{one}</span>' if one == failed else one for one in others)]
    )
