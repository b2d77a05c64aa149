"""Messages to the views of a chat: all views show the same, and each gets every message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.chat.feed import Feed
from llmkit.notebook.chat.text import message_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.chat.conversation import Conversation, Node


class Views:
    """Tells the views of a chat what there is to show; for the bridge's event loop."""

    def __init__(self, talk: Conversation, publish: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._talk = talk
        self._publish = publish
        self._feed: Feed | None = None

    @property
    def growing(self) -> tuple[str, str] | None:
        """HTML of the answer that is arriving: its finished blocks, and the open one; `None` without any."""
        return None if self._feed is None else self._feed.shown

    def send(self, message: dict[str, Any]) -> None:
        """Send a message without binary parts."""
        self._publish(message, [])

    def say(self, text: str, kind: str) -> None:
        """Show a sentence above the conversation."""
        self.send({"type": "say", "text": text, "kind": kind})

    def grow(self, reply: Node) -> Feed:
        """Begin to show an answer while it arrives."""
        self._feed = Feed(self.send, reply.number)
        return self._feed

    def stop_growing(self) -> None:
        """End what `grow` began: from now on the answer is shown as it stands in the conversation."""
        self._feed = None

    def show(self, node: Node, **more: Any) -> None:
        """Show one message anew."""
        form, buffers = message_form(node, self._growing(node))
        self._publish({"type": "message", "message": {**form, **more}}, buffers)

    def show_after(self, node: Node | None, view: object = None) -> None:
        """Show what follows a message anew."""
        shown = self._talk.branch
        start, after = (shown.index(node) + 1, node.number) if node is not None and node in shown else (0, 0)
        forms, buffers = [], list[bytes]()
        for one in shown[start:]:
            form, parts = message_form(one, self._growing(one), len(buffers))
            forms.append(form)
            buffers += parts
        self._publish({"type": "branch", "after": after, "messages": forms, "view": view}, buffers)

    def _growing(self, node: Node) -> tuple[str, str] | None:
        return self.growing if node.state == "open" else None
