"""A widget that is a channel for messages; it loads anywidget.

What is state may be saved with the notebook, and echoed to other front ends. Prompts, answers and sums travel
as custom messages instead, down and up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class MessageWidget(anywidget.AnyWidget):
    """Hands a front end's messages to a function; subclasses bring script and style."""

    name = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, receive: Callable[[Mapping[str, Any], Sequence[Any]], None]) -> None:
        super().__init__(name=name)
        self._receive = receive
        self.on_msg(lambda _widget, message, buffers: receive(message, buffers))
