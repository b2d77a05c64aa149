"""What a view of a chat asks for; what is not understood is passed over, or answered with a sentence."""

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
    from collections.abc import Coroutine, Iterable, Mapping

    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.chat.runner import ChatRunner


class MessageHandlers:
    """Does for a session what its views ask for, on the bridge's event loop."""

    def __init__(self, session: ChatRunner) -> None:
        self._session = session
        self._talk = session.talk
        self._views = session.views
        # The event loop itself keeps no task alive.
        self._running: set[asyncio.Task[None]] = set()

    def receive(self, message: Mapping[str, Any], buffers: Iterable[Any]) -> None:
        """Do what a view asks for; what is not understood is passed over."""
        handle = self._errand(message, [bytes(buffer) for buffer in buffers])
        task = asyncio.get_running_loop().create_task(self._tell_errors(handle))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _tell_errors(self, handle: Coroutine[Any, Any, Any]) -> None:
        try:
            await handle
        except LLMClientError as error:
            self._views.say(str(error), "error")
        except (KeyError, TypeError, ValueError) as error:
            self._views.say(f"The chat does not understand what its view sent: {error!r:.200}.", "error")

    async def _errand(self, message: Mapping[str, Any], buffers: list[bytes]) -> None:
        kind, node = message.get("type"), self._talk.find(message.get("node"))
        if kind == "hello":
            await self._greet(message.get("view"))
        elif kind == "ask":
            await self._take_question(message, buffers, node)
        elif kind == "stop":
            self._session.stop()
        elif kind == "model":
            self._session.set_model(str(message.get("name")))
        elif kind == "system":
            self._session.set_system(str(message.get("text", "")))
        elif kind == "restore":
            self._restore(message.get("messages"))
        elif kind == "export":
            text = as_markdown(entries(self._talk.branch, self._session.system))
            self._views.send({"type": "file", "text": text, "view": message.get("view")})
        elif node is not None:
            await self._change(kind, message, node)

    async def _change(self, kind: object, message: Mapping[str, Any], node: Node) -> None:
        """Do what a view asks for with a message of the conversation."""
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
        """Take over what a view kept of a conversation whose kernel has gone."""
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
        """Tell a new view everything."""
        menu = await asyncio.to_thread(model_menu)  # a keyring may take its time
        self._session.follow_thread()
        starters = self._session.settings.starters
        self._views.send({**self._session.head, "menu": menu, "view": view, "starters": starters})
        self._views.show_after(None, view)
