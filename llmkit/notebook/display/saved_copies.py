"""Copies of a widget that are saved with the notebook, for readers without a kernel."""

from __future__ import annotations

import contextlib
import importlib
import sys
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

from llmkit.notebook.shell import say

if TYPE_CHECKING:
    from collections.abc import Callable

NO_WIDGETS = "This front end shows no widgets"
"""How the line begins that such a front end shows instead: how to go on from Python."""

WIDGET = "application/vnd.jupyter.widget-view+json"

MAX_COPIES = 8
"""Most places in a notebook that are kept up to date with one widget."""


class SavedCopies:
    """Shows a widget, with a copy beside it in each place, and brings the copies up to date."""

    def __init__(self, content: Callable[[], dict[str, str]], instead: str) -> None:
        self._content = content
        self._instead = instead  # what a front end without widgets shows in place of the widget
        self._places: deque[str] = deque(maxlen=MAX_COPIES)
        self._publisher: Any = None

    def __len__(self) -> int:
        return len(self._places)

    def show(self, publisher: Any, widget: Any = None) -> None:
        """Show the widget, if there is one, and a copy."""
        self._publisher, place = publisher, uuid.uuid4().hex[:12]
        if widget is not None:
            view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
            allow_in_colab()
            publisher.publish({WIDGET: view, "text/plain": self._instead})
        publisher.publish(self._content(), transient={"display_id": place})
        self._places.append(place)

    def update(self) -> None:
        """Bring all copies up to date."""
        data = self._content() if self._places else {}
        for place in self._places:
            self._publisher.publish(data, transient={"display_id": place}, update=True)


def allow_in_colab() -> None:
    """Let Colab show widgets that are not its own, as its users have to do by hand, and say so once.

    Only a runtime of Colab has loaded `google.colab` by now; nothing is imported elsewhere.
    """
    if "google.colab" not in sys.modules or _allowed:
        return
    with contextlib.suppress(ImportError, AttributeError):  # a release that has no such switch needs none
        importlib.import_module("google.colab.output").enable_custom_widget_manager()
        say("llmkit turned on custom widgets in Colab: google.colab.output.enable_custom_widget_manager().")
    _allowed.append(True)


_allowed: list[bool] = []


def saved_copy(name: str, body: str, kind: str = "") -> str:
    """Return HTML that hides wherever the live widget of this name is on the page, too.

    Without a kernel it hides the widget's output above it: Jupyter would show an error there. The line for
    front ends without widgets is text and stays, but for exported pages, whose readers cannot go on.
    """
    live, copy, child = f".llmkit-live-{name}", f".llmkit-saved-{name}", ".jp-OutputArea-child"
    above = f":has(+{child} {copy})"
    rules = (
        f"body:has({live}) {copy},body:has({live}) {child}:has({copy}){{display:none}}"
        f"body:not(:has({live})) {child}:not(:has(.jp-RenderedText)){above},"
        f"body.jp-Notebook:not(:has({live})) {child}{above}{{display:none}}"
    )
    return f'<style>{rules}</style><div class="{f"llmkit-saved-{name} {kind}".strip()}">{body}</div>'
