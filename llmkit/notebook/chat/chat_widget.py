"""The chat's widget. Nothing of the conversation is its state."""

from __future__ import annotations

from pathlib import Path

from llmkit.notebook.display.markdown.style import PARTS_SHEET, STYLESHEET
from llmkit.notebook.display.message_widget import MessageWidget

FOLDER = Path(__file__).parent


class ChatWidget(MessageWidget):
    """Shows a chat in a browser."""

    _esm = FOLDER / "chat.js"
    _css = STYLESHEET + PARTS_SHEET + (FOLDER / "chat.css").read_text(encoding="utf-8")

    def close(self) -> None:
        """Close the widget; a question that it shows is denied."""
        if self.comm is not None:
            self._receive({"type": "closed"}, ())
        super().close()
