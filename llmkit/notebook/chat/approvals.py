"""Buttons in the chat that allow or deny a call of a tool; without an answer nothing runs."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from llmkit.notebook.display.parts import one_line, visible
from llmkit.notebook.tools.asking import identity, runs

if TYPE_CHECKING:
    from llmkit.clients.tools.execution import Question
    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.chat.views import Views

SECONDS = 600.0
"""How long a question waits for an answer; after that the call is denied."""


class Approvals:
    """Asks in all views of a chat whether a call may run; for the bridge's event loop.

    Args:
        views: The views.
        allowed: Tools that the person has allowed for the session; "always" adds to it.
        seconds: How long a question waits.
    """

    def __init__(self, views: Views, allowed: set[str], seconds: float = SECONDS) -> None:
        self._views = views
        self._allowed = allowed
        self._seconds = seconds
        self._answer: asyncio.Future[str] | None = None
        self._name = ""

    async def ask(self, question: Question, reply: Node) -> None:
        """Show exactly what will run, and wait for a button.

        A tool that always needs a person, such as `python`, is asked for each time.
        """
        may_last = question.tool.approve != "person"
        if may_last and identity(question.tool) in self._allowed:
            question.answer = True
            return
        self._answer, self._name = asyncio.get_running_loop().create_future(), uuid.uuid4().hex
        self._views.ask(reply, self._form(question, may_last=may_last))
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._answer
        except TimeoutError:
            answer = "deny"
            self._views.say(f"{one_line(question.tool.name, 64)} was not run: nobody answered.", "alert")
        finally:
            self._answer = None
            self._views.ask(reply, None)
        question.answer = answer == "allow" or (answer == "always" and may_last)
        if answer == "always" and may_last:
            self._allowed.add(identity(question.tool))

    def answer(self, name: object, answer: object) -> None:
        """Take the answer of a view; one to an earlier question is ignored."""
        if name == self._name:
            self._end(str(answer))

    def deny(self) -> None:
        """Deny what is asked now, if anything is."""
        self._end("deny")

    def _end(self, answer: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _form(self, question: Question, *, may_last: bool) -> dict[str, object]:
        """Return what a view shows of a question, all of it as text."""
        name = one_line(question.tool.name, 64)
        return {
            "name": self._name,
            "title": f"The model wants to run {name}.",
            "code": visible(runs(question.call)),
            "lasts": may_last,
        }
