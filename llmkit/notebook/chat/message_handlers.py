"""Messages from the views of a chat; unknown ones are ignored, malformed ones are answered with an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmkit.content.attachments import attach
from llmkit.content.messages import LLMMessage
from llmkit.core.errors import LLMClientError
from llmkit.notebook.chat.conversation import question_of
from llmkit.notebook.chat.text import entries
from llmkit.notebook.model_list import model_menu
from llmkit.notebook.transcript import as_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.chat.runner import ChatRunner


class MessageHandlers:
    """Handles the messages of a chat's views, on the bridge's event loop."""

    def __init__(self, session: ChatRunner) -> None:
        self._session = session
        self._talk = session.talk
        self._views = session.views
        # The event loop holds only weak references to its tasks.
        self._running: set[asyncio.Task[None]] = set()
        self._of_chat: dict[object, Callable[[Mapping[str, Any]], None]] = {
            "stop": lambda _: session.stop(),
            "model": lambda message: session.set_model(str(message.get("name"))),
            "system": lambda message: session.set_system(str(message.get("text", ""))),
            "restore": lambda message: self._restore(message.get("messages")),
            "export": self._export,
            "allow": lambda message: session.approvals.answer(message.get("question"), message.get("answer")),
            "closed": lambda _: session.view_closed(),
            "gone": lambda message: session.view_closed(message.get("view")),
        }

    def receive(self, message: Mapping[str, Any], buffers: Iterable[Any]) -> None:
        """Handle a message; one of an unknown type is ignored."""
        work = self._handle(message, [bytes(buffer) for buffer in buffers])
        task = asyncio.get_running_loop().create_task(self._report_errors(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _report_errors(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except LLMClientError as error:
            self._views.say(str(error), "error")
        except (KeyError, TypeError, ValueError) as error:
            self._views.say(f"The chat received a malformed message: {error!r:.200}.", "error")

    async def _handle(self, message: Mapping[str, Any], buffers: list[bytes]) -> None:
        kind, node = message.get("type"), self._talk.find(message.get("node"))
        self._views.opened(message.get("view"))
        if kind == "hello":
            await self._greet(message.get("view"))
        elif kind == "ask":
            await self._take_question(message, buffers, node)
        elif kind in self._of_chat:
            self._of_chat[kind](message)
        elif node is not None:
            await self._change(kind, message, node)

    def _export(self, message: Mapping[str, Any]) -> None:
        text = as_markdown(entries(self._talk.branch, self._session.system))
        self._views.send({"type": "file", "text": text, "view": message.get("view")})

    async def _change(self, kind: object, message: Mapping[str, Any], node: Node) -> None:
        """Handle a request about one turn of the conversation."""
        if kind == "again":
            await self._ask_again(message, node)
        elif kind == "step":
            self._session.check_idle()
            found = self._talk.step(node, 1 if message.get("by") == 1 else -1)
            self._views.show_after(found.parent)
            self._session.changed()
        elif kind == "hide":
            self._talk.hide(node, hidden=bool(message.get("hidden")))
            question = question_of(node)
            for one in filter(None, [question, question.chosen]):
                self._views.show(one)
            self._session.changed()

    async def _take_question(
        self, message: Mapping[str, Any], buffers: list[bytes], instead_of: Node | None
    ) -> None:
        names = [str(name) for name in message.get("names", [])]
        files = [attach(data, name) for data, name in zip(buffers, names, strict=False)]
        kept = instead_of.attachments if instead_of is not None and message.get("keep") else ()
        await self._session.ask(str(message.get("text", "")), (*kept, *files), instead_of)

    def _restore(self, messages: Any) -> None:
        """Restore a conversation that a view kept when its kernel stopped."""
        if not len(self._talk):
            said = [(str(one["role"]), str(one["text"])) for one in messages]
            self._talk.adopt([LLMMessage(role, text) for role, text in said if text.strip()])
            self._views.show_after(None)
            self._session.changed()

    async def _ask_again(self, message: Mapping[str, Any], node: Node) -> None:
        if allow := message.get("allow"):
            from llmkit.costs.ledger import ledger

            ledger.budget().allow_model(str(allow))
        name = message.get("model")
        await self._session.answer(question_of(node), None if name is None else str(name))

    async def _greet(self, view: object) -> None:
        """Send a new view the whole state."""
        menu = await asyncio.to_thread(model_menu)  # a keyring may take its time
        self._session.follow_thread()
        starters = self._session.settings.starters
        self._views.send({**self._session.head, "menu": menu, "view": view, "starters": starters})
        self._views.show_after(None, view)
