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
        self._question: dict[str, Any] | None = None
        self._open: set[object] = set()

    @property
    def are_open(self) -> bool:
        """Whether any view is on a page, as far as is known."""
        return bool(self._open)

    def opened(self, view: object) -> None:
        """Note a view that asks for something."""
        self._open |= set() if view is None else {str(view)}

    def closed(self, view: object = None) -> None:
        """Note a view that has gone from its page; `None` is all of them."""
        self._open = set() if view is None else self._open - {str(view)}

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

    def ask(self, reply: Node, question: dict[str, Any] | None) -> None:
        """Show a question within the answer that waits for it; `None` takes it away."""
        self._question = question
        self.show(reply)

    def show(self, node: Node, **more: Any) -> None:
        """Show one message anew."""
        form, buffers = self._form(node)
        self._publish({"type": "message", "message": {**form, **more}}, buffers)

    def show_after(self, node: Node | None, view: object = None) -> None:
        """Show what follows a message anew."""
        shown = self._talk.branch
        start, after = (shown.index(node) + 1, node.number) if node is not None and node in shown else (0, 0)
        forms, buffers = [], list[bytes]()
        for one in shown[start:]:
            form, parts = self._form(one, len(buffers))
            forms.append(form)
            buffers += parts
        self._publish({"type": "branch", "after": after, "messages": forms, "view": view}, buffers)

    def _form(self, node: Node, first_buffer: int = 0) -> tuple[dict[str, Any], list[bytes]]:
        arriving = node.state == "open"
        form, buffers = message_form(node, self.growing if arriving else None, first_buffer)
        return {**form, "question": self._question if arriving else None}, buffers
