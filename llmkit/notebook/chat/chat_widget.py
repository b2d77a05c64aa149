"""The chat's widget: a channel for messages. Nothing of the conversation is its state.

What is state may be saved with the notebook, and echoed to other front ends; prompts and answers travel as
custom messages instead, down and up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from llmkit.notebook.display.markdown.style import STYLESHEET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOLDER = Path(__file__).parent


class ChatWidget(anywidget.AnyWidget):
    """Shows a chat in a browser."""

    _esm = FOLDER / "chat.js"
    _css = STYLESHEET + (FOLDER / "chat.css").read_text(encoding="utf-8")
    name = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, receive: Callable[[Mapping[str, Any], Sequence[Any]], None]) -> None:
        super().__init__(name=name)
        self.on_msg(lambda _widget, message, buffers: receive(message, buffers))
