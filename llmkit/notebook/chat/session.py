"""What a chat does: questions, answers, versions, and what its views are told of them.

All of it happens on the bridge's event loop, so that nothing needs a lock and a view's messages keep their
order. A handler of the front end's messages only hands them over: Stop works while an answer arrives.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.attachments import attach
from llmkit.clients.registry import resolve, shared_client
from llmkit.errors import BudgetExceededError, ConfigurationError, LLMClientError
from llmkit.messages import LLMMessage
from llmkit.notebook.cards import card
from llmkit.notebook.chat.conversation import Conversation, as_message, question_of
from llmkit.notebook.chat.feed import MAX_HZ, Feed
from llmkit.notebook.chat.menu import context_window, model_menu
from llmkit.notebook.chat.text import message_form, to_markdown
from llmkit.notebook.errors import countdown
from llmkit.prices import format_money, to_nanos

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from llmkit.attachments import Attachment
    from llmkit.clients.stream import TextStream
    from llmkit.notebook.cards import Card
    from llmkit.notebook.chat.conversation import Node


@dataclass(slots=True, kw_only=True)
class Settings:
    """What holds for a chat.

    Attributes:
        model: Model or alias that is asked; `None` for the default.
        system: System prompt; empty for none.
        thread: Name of the conversation that is shared with `%%llm -t`; `None` for none.
        variables: What describes the user's variables, by name, as each question is asked.
        starters: Questions to offer while there is none.
        budget: What the whole chat may cost, in US dollars; `None` is no limit.
    """

    model: str | None = None
    system: str = ""
    thread: str | None = None
    variables: Callable[[], Mapping[str, Any]] = dict
    starters: tuple[str, ...] = ()
    budget: float | None = None


@dataclass(slots=True)
class Turn:
    """How one question was answered.

    Attributes:
        reply: The answer.
        error: Why there is none, if there is none.
    """

    reply: Node
    error: LLMClientError | None = None


class Session:
    """A conversation with a model; every method is for the bridge's event loop.

    Args:
        settings: What holds for it.
        magics: The magics whose settings and threads it shares; `None` without any.
        publish: Takes messages for the views, each with its binary parts.
        keep: Called when the conversation has changed, to save it with the notebook.
    """

    def __init__(
        self,
        settings: Settings,
        magics: Any,
        publish: Callable[[dict[str, Any], list[bytes]], None],
        keep: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.talk = Conversation()
        self._magics = magics
        self._publish = publish
        self._keep = keep
        self._context = records.current_context()  # the cell that made the chat: its rows name it
        self._task: asyncio.Task[Turn] | None = None
        self._feed: Feed | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._thread: list[LLMMessage] = []
        self.follow_thread()

    # What Python and the views can do

    async def ask(
        self, text: str, attachments: Sequence[Attachment] = (), instead_of: Node | None = None
    ) -> Turn:
        """Ask a question, and wait for its answer.

        Args:
            text: The question.
            attachments: What goes with it.
            instead_of: The question of which it is another version.

        Returns:
            How it was answered.

        Raises:
            ConfigurationError: If the question is empty, or another one is being answered.
        """
        if not text.strip():
            raise ConfigurationError("The question is empty.", hint="Write what you want to know.")
        self._check_idle()
        self.follow_thread()
        question = self.talk.ask(text, attachments=attachments, instead_of=instead_of)
        return await self.answer(question)

    async def answer(self, question: Node, model: str | None = None) -> Turn:
        """Ask a question of the conversation, maybe again.

        Args:
            question: The question.
            model: Who is asked this time; by default the chat's model.

        Returns:
            How it was answered.

        Raises:
            ConfigurationError: If another question is being answered.
        """
        self._check_idle()
        chosen = model or self.model
        reply = self.talk.answer(question, state="open", model=chosen)
        self._feed = Feed(self._send, reply.number)
        self._show_after(question.parent)
        self._task = asyncio.get_running_loop().create_task(self._run(question, reply, chosen))
        self._task.add_done_callback(lambda task: self._end_unstarted(task, reply))
        return await self._task

    def stop(self) -> None:
        """Stop the answer that is under way, if there is one."""
        if self._task is not None:
            self._task.cancel()

    @property
    def model(self) -> str:
        """Who is asked, as the user names it; the default model otherwise."""
        return self.settings.model or getattr(self._magics, "model", "") or str(resolve(None))

    @property
    def system(self) -> str:
        """The system prompt."""
        return self.settings.system or getattr(self._magics, "system", "")

    @property
    def cost(self) -> float:
        """What the answers of all branches cost, in US dollars; simulated ones cost nothing."""
        responses = (node.response for node in self.talk if node.response is not None)
        return sum(response.cost_estimate or 0.0 for response in responses if not response.simulated)

    def set_model(self, name: str) -> None:
        """Ask another model from now on.

        Raises:
            ConfigurationError: If it is not known.
        """
        resolve(name)
        self.settings.model = name
        self._send(self._head())

    def set_system(self, text: str) -> None:
        """Use another system prompt from now on."""
        self.settings.system = text.strip()
        self._send(self._head())

    def follow_thread(self) -> None:
        """Take over what cells have said in the thread meanwhile."""
        if self.settings.thread is None:
            return
        messages = self._magics.threads.get(self.settings.thread, [])
        if messages != self._thread:
            self._thread = list(messages)
            self.talk.adopt(messages)
            self._show_after(None)

    # What the front end sends

    def receive(self, message: Mapping[str, Any], buffers: Iterable[Any]) -> None:
        """Do what a view asks for; what is not understood is passed over.

        Args:
            message: Its `type`, and what belongs to it.
            buffers: Files, for a question.
        """
        errand = self._errand(message, [bytes(buffer) for buffer in buffers])
        task = asyncio.get_running_loop().create_task(self._tell_errors(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _tell_errors(self, errand: Coroutine[Any, Any, Any]) -> None:
        try:
            await errand
        except LLMClientError as error:
            self._send({"type": "say", "text": str(error), "kind": "error"})
        except (KeyError, TypeError, ValueError) as error:
            text = f"The chat does not understand what its view sent: {error!r:.200}."
            self._send({"type": "say", "text": text, "kind": "error"})

    async def _errand(self, message: Mapping[str, Any], buffers: list[bytes]) -> None:
        kind, node = message.get("type"), self.talk.find(message.get("node"))
        if kind == "hello":
            await self._greet(message.get("view"))
        elif kind == "ask":
            await self._take_question(message, buffers, node)
        elif kind == "stop":
            self.stop()
        elif kind == "model":
            self.set_model(str(message.get("name")))
        elif kind == "system":
            self.set_system(str(message.get("text", "")))
        elif kind == "restore":
            self._restore(message.get("messages"))
        elif kind == "export":
            self._send(
                {
                    "type": "file",
                    "text": to_markdown(self.talk.branch, self.system),
                    "view": message.get("view"),
                }
            )
        elif node is not None:
            await self._change(kind, message, node)

    async def _change(self, kind: object, message: Mapping[str, Any], node: Node) -> None:
        """Do what a view asks for with a message of the conversation."""
        if kind == "again":
            await self._ask_again(message, node)
        elif kind == "step":
            self._check_idle()
            found = self.talk.step(node, 1 if message.get("by") == 1 else -1)
            self._show_after(found.parent)
            self._changed()
        elif kind == "hide":
            self.talk.hide(node, hidden=bool(message.get("hidden")))
            question = question_of(node)
            for one in filter(None, [question, question.chosen]):
                self._send_message(one)
            self._changed()

    async def _take_question(
        self, message: Mapping[str, Any], buffers: list[bytes], instead_of: Node | None
    ) -> None:
        names = [str(name) for name in message.get("names", [])]
        files = [attach(data, name) for data, name in zip(buffers, names, strict=False)]
        kept = instead_of.attachments if instead_of is not None and message.get("keep") else ()
        await self.ask(str(message.get("text", "")), (*kept, *files), instead_of)

    def _restore(self, messages: Any) -> None:
        """Take over what a view kept of a conversation whose kernel has gone."""
        if not len(self.talk):
            said = [(str(one["role"]), str(one["text"])) for one in messages]
            self.talk.adopt([LLMMessage(role, text) for role, text in said if text.strip()])
            self._show_after(None)
            self._changed()

    async def _ask_again(self, message: Mapping[str, Any], node: Node) -> None:
        if allow := message.get("allow"):
            from llmkit.costs.ledger import ledger

            ledger.budget().allow_model(str(allow))
        name = message.get("model")
        await self.answer(question_of(node), None if name is None else str(name))

    async def _greet(self, view: object) -> None:
        """Tell a new view everything."""
        menu = await asyncio.to_thread(model_menu)  # a keyring may take its time
        self.follow_thread()
        self._send({**self._head(), "menu": menu, "view": view, "starters": self.settings.starters})
        self._show_after(None, view)

    # The call

    async def _run(self, question: Node, reply: Node, model: str) -> Turn:
        """Ask, and keep what comes; never raises, for also a failed answer stays in the conversation."""
        stream: TextStream | None = None
        turn = Turn(reply)
        try:
            stream = await asyncio.to_thread(
                self._open, self.talk.context(question), model, asyncio.get_running_loop()
            )
            await self._read(stream)
            reply.state = "ok"
        except asyncio.CancelledError:
            reply.state = "cancelled"
        except LLMClientError as error:
            turn.error = error
        except Exception as error:  # noqa: BLE001 - the widget boundary: another package's client may raise anything
            turn.error = LLMClientError(f"The call failed: {type(error).__name__}: {error}")
            turn.error.__cause__ = error
        self._end(turn, stream)
        return turn

    def _end_unstarted(self, task: asyncio.Task[Turn], reply: Node) -> None:
        """End a turn that was stopped before its first step: only then is its task cancelled."""
        if task.cancelled():
            reply.state = "cancelled"
            self._end(Turn(reply), None)

    def _open(self, context: list[Node], model: str, loop: asyncio.AbstractEventLoop) -> TextStream:
        """Open the stream; nothing is sent before its first step. Runs in a thread: imports take a while."""
        name = resolve(model)
        client = shared_client(str(name), tuple(getattr(self._magics, "fallback", ())))
        temperature = getattr(self._magics, "temperature", None)
        options = {} if temperature is None else {"temperature": temperature}
        cards = self._cards()
        for note in (note for each in cards for note in each.notes):
            loop.call_soon_threadsafe(self._send, {"type": "say", "text": note, "kind": "alert"})
        messages = [*self._system(cards), *map(as_message, context)]
        facts = {
            key: getattr(self._context, key) for key in ("notebook", "cell_id", "execution_count", "tags")
        }
        with records.calling(**facts, surface="chat", cap_nanos=self._cap()):
            stream: Any = client.stream_text(messages, name.model, **options)
        return stream  # type: ignore[no-any-return]  # shared clients are metered: theirs is a TextStream

    async def _read(self, stream: TextStream) -> None:
        assert self._feed is not None
        ticker = asyncio.get_running_loop().create_task(_tick(self._feed, stream))
        try:
            async with aclosing(stream):
                async for piece in stream:
                    self._feed.feed(piece)
        finally:
            ticker.cancel()

    def _end(self, turn: Turn, stream: TextStream | None) -> None:
        reply = turn.reply
        if stream is not None:
            outcome = stream.outcome
            sent = outcome is not None and (outcome.attempts or outcome.replayed)
            reply.text, reply.response = stream.text, outcome if sent else None
        if turn.error is not None:
            reply.state = "error"
            name = ":".join(filter(None, (turn.error.provider, turn.error.model)))
            reply.error = f"{turn.error}" + (f" [{name}]" if name else "")
        self._task = self._feed = None
        if self.settings.thread is not None:
            self._thread = self.talk.messages()
            self._magics.threads[self.settings.thread] = list(self._thread)
        self._send_message(reply, allow=_may_allow(turn.error))
        self._changed()
        self._tell_alerts()

    def system_messages(self) -> list[LLMMessage]:
        """Return the system message, with what describes the user's variables; none if there is nothing."""
        return self._system(self._cards())

    def _cards(self) -> list[Card]:
        return [card(name, value) for name, value in self.settings.variables().items()]

    def _system(self, cards: list[Card]) -> list[LLMMessage]:
        text = "\n\n".join(filter(None, [self.system.strip(), *(each.text for each in cards)]))
        return [LLMMessage(role="system", content=text)] if text else []

    def _cap(self) -> int | None:
        """Return what the next call may cost, in billionths of a dollar."""
        caps = [getattr(self._magics, "budget", None)]
        if self.settings.budget is not None:
            caps.append(max(self.settings.budget - self.cost, 0.0))
        known = [cap for cap in caps if cap is not None]
        return to_nanos(min(known)) if known else None

    def _check_idle(self) -> None:
        if self._task is not None:
            raise ConfigurationError("The chat is still answering.", hint="Stop it, or wait for its end.")

    # What the views are told

    def _send(self, message: dict[str, Any]) -> None:
        self._publish(message, [])

    def _changed(self) -> None:
        self._send(self._head())
        self._keep()

    def _send_message(self, node: Node, **more: Any) -> None:
        form, buffers = message_form(node, self._growing(node))
        self._publish({"type": "message", "message": {**form, **more}}, buffers)

    def _show_after(self, node: Node | None, view: object = None) -> None:
        """Show what follows a message anew; everything, if it is `None`."""
        shown = self.talk.branch
        start = shown.index(node) + 1 if node in shown else 0
        forms, buffers = [], list[bytes]()
        for one in shown[start:]:
            form, parts = message_form(one, self._growing(one), len(buffers))
            forms.append(form)
            buffers += parts
        after = node.number if node in shown and node is not None else 0
        self._publish({"type": "branch", "after": after, "messages": forms, "view": view}, buffers)

    def _growing(self, node: Node) -> tuple[str, str] | None:
        return self._feed.shown if self._feed is not None and node.state == "open" else None

    def _head(self) -> dict[str, Any]:
        last = next((n for n in reversed(self.talk.branch) if n.response is not None), None)
        response = None if last is None else last.response
        known = None if response is None else (response.provider, response.model)
        return {
            "type": "head",
            "model": self.model,
            "system": self.system,
            "variables": list(self.settings.variables()),
            "thread": self.settings.thread,
            "tokens": None if response is None else response.tokens_used,
            "window": None if known is None else context_window(*known),
            **self._money(),
        }

    def _money(self) -> dict[str, Any]:
        responses = [node.response for node in self.talk if node.response is not None]
        simulated = bool(responses) and all(response.simulated for response in responses)
        counted = [response for response in responses if simulated or not response.simulated]
        unknown = any(r.cost_estimate is None and r.tokens_used for r in counted)
        spent = sum(response.cost_estimate or 0 for response in counted)
        return {
            "cost": format_money(spent) + (" + $?" if unknown else ""),
            "budget": None if self.settings.budget is None else format_money(self.settings.budget),
            "share": self.cost / self.settings.budget if self.settings.budget else None,
            "simulated": simulated,
        }

    def _tell_alerts(self) -> None:
        from llmkit.costs.ledger import ledger

        for alert in ledger.take_alerts():
            self._send({"type": "say", "text": str(alert), "kind": "alert"})
        if waiting := ledger.waiting:
            text = f"The ledger cannot be written: {waiting} calls wait in memory."
            self._send({"type": "say", "text": text, "kind": "error"})


async def _tick(feed: Feed, stream: TextStream) -> None:
    """Show what arrived between two pieces, and how long the call waits for another try."""
    while True:
        await asyncio.sleep(1 / MAX_HZ)
        feed.tick(countdown(stream.waiting))


def _may_allow(error: LLMClientError | None) -> str | None:
    """Return the model without a known price that the user may let pass, if that is why it was refused."""
    if not isinstance(error, BudgetExceededError) or error.needed is not None:
        return None
    from llmkit.costs.ledger import ledger

    return f"{error.provider}:{error.model}" if ledger.budget().unpriced == "ask" else None
