"""What a chat does: questions, their answers, and what goes with them.

All of it happens on the bridge's event loop, so that nothing needs a lock and a view's messages keep their
order. A handler of the front end's messages only hands them over: Stop works while an answer arrives.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.registry import resolve
from llmkit.content.describe import card
from llmkit.content.messages import LLMMessage
from llmkit.core.errors import BudgetExceededError, ConfigurationError, LLMClientError
from llmkit.core.money import to_nanos
from llmkit.notebook.chat.conversation import Conversation, as_message
from llmkit.notebook.chat.header import context_form, money_form, spent
from llmkit.notebook.chat.message_handlers import MessageHandlers
from llmkit.notebook.chat.views import Views
from llmkit.notebook.display.error_messages import countdown, error_text, foreign
from llmkit.notebook.display.footer import outcome_of
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.display.throttle import MAX_HZ
from llmkit.notebook.ledger_loss import ledger_loss
from llmkit.notebook.streams import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmkit.clients.stream import TextStream
    from llmkit.content.attachments import Attachment
    from llmkit.content.describe import Card
    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.chat.feed import Feed
    from llmkit.notebook.session import Session


@dataclass(slots=True, kw_only=True)
class ChatSettings:
    """Settings of a chat."""

    model: str | None = None  # `None` is the default model
    system: str = ""
    thread: str | None = None  # conversation shared with `%%llm -t`
    variables: Callable[[], Mapping[str, Any]] = dict  # called for each question: variables change
    starters: tuple[str, ...] = ()  # offered while the chat is empty
    budget: float | None = None  # of the whole chat, in US dollars


@dataclass(slots=True)
class Turn:
    """How one question was answered."""

    reply: Node
    error: LLMClientError | None = None


class ChatRunner:
    """A conversation with a model; every method is for the bridge's event loop."""

    def __init__(
        self,
        settings: ChatSettings,
        session: Session,
        publish: Callable[[dict[str, Any], list[bytes]], None],
        keep: Callable[[], None],
        talk: Conversation | None = None,
    ) -> None:
        self.settings = settings
        self.talk = Conversation() if talk is None else talk
        self.views = Views(self.talk, publish)
        self._session = session
        self._keep = keep
        self._context = records.current_context()  # the cell that made the chat: its rows name it
        self._task: asyncio.Task[Turn] | None = None
        self._thread: list[LLMMessage] = []
        self._handlers = MessageHandlers(self)
        self.follow_thread()

    async def ask(
        self, text: str, attachments: Sequence[Attachment] = (), instead_of: Node | None = None
    ) -> Turn:
        """Ask a question, and wait for its answer."""
        if not text.strip():
            raise ConfigurationError("The question is empty.", hint="Type a question.")
        self.check_idle()
        self.follow_thread()
        question = self.talk.ask(text, attachments=attachments, instead_of=instead_of)
        return await self.answer(question)

    async def answer(self, question: Node, model: str | None = None) -> Turn:
        """Ask a question of the conversation, maybe again."""
        self.check_idle()
        chosen = model or self.model
        reply = self.talk.answer(question, state="open", model=chosen)
        feed = self.views.grow(reply)
        self.views.show_after(question.parent)
        self._task = asyncio.get_running_loop().create_task(self._run(question, reply, chosen, feed))
        self._task.add_done_callback(lambda task: self._end_unstarted(task, reply))
        return await self._task

    def stop(self) -> None:
        """Stop the answer that is under way, if there is one."""
        if self._task is not None:
            self._task.cancel()

    @property
    def model(self) -> str:
        """Who is asked, as the user names it; the default model otherwise."""
        return self.settings.model or self._session.defaults.model or str(resolve(None))

    @property
    def system(self) -> str:
        """The system prompt."""
        return self.settings.system or self._session.defaults.system

    @property
    def cost(self) -> float:
        """What the answers of all branches cost, in US dollars; simulated ones cost nothing."""
        return spent(self.talk)

    def set_model(self, name: str) -> None:
        """Ask another model from now on."""
        resolve(name)
        self.settings.model = name
        self.views.send(self.head)

    def set_system(self, text: str) -> None:
        """Use another system prompt from now on."""
        self.settings.system = text.strip()
        self.views.send(self.head)

    def follow_thread(self) -> None:
        """Take over what cells have said in the thread meanwhile."""
        if self.settings.thread is None:
            return
        messages = self._session.threads.get(self.settings.thread, [])
        if messages != self._thread:
            self._thread = list(messages)
            self.talk.adopt(messages)
            self.views.show_after(None)

    def receive(self, message: Mapping[str, Any], buffers: Iterable[Any]) -> None:
        """Do what a view asks for; see `MessageHandlers.receive`."""
        self._handlers.receive(message, buffers)

    def system_messages(self) -> list[LLMMessage]:
        """Return the system message, with what describes the user's variables; none if there is nothing."""
        return self._system(self._cards())

    def check_idle(self) -> None:
        """Make sure that no answer is under way."""
        if self._task is not None:
            raise ConfigurationError(
                "The chat is still answering.", hint="Stop it, or wait until it has finished."
            )

    @property
    def head(self) -> dict[str, Any]:
        """What the header shows."""
        return {
            "type": "head",
            "model": self.model,
            "system": self.system,
            "variables": list(self.settings.variables()),
            "thread": self.settings.thread,
            **context_form(self.talk),
            **money_form(self.talk, self.settings.budget),
        }

    def changed(self) -> None:
        """Bring the header and the saved copies up to date."""
        self.views.send(self.head)
        self._keep()

    async def _run(self, question: Node, reply: Node, model: str, feed: Feed) -> Turn:
        """Ask, and keep what comes; never raises, for also a failed answer stays in the conversation."""
        stream: TextStream | None = None
        turn = Turn(reply)
        try:
            stream = await asyncio.to_thread(
                self._open, self.talk.context(question), model, asyncio.get_running_loop()
            )
            await _read(stream, feed)
            reply.state = "ok"
        except asyncio.CancelledError:
            reply.state = "cancelled"
        except LLMClientError as error:
            turn.error = error
        except Exception as error:  # noqa: BLE001 - the widget boundary: another package's client may raise anything
            turn.error = foreign(error)
        self._end(turn, stream)
        return turn

    def _end_unstarted(self, task: asyncio.Task[Turn], reply: Node) -> None:
        """End a turn that was stopped before its first step: only then is its task cancelled."""
        if task.cancelled():
            reply.state = "cancelled"
            self._end(Turn(reply), None)

    def _open(self, context: list[Node], model: str, loop: asyncio.AbstractEventLoop) -> TextStream:
        """Open the stream; nothing is sent before its first step. Runs in a thread: imports take a while."""
        cards = self._cards()
        for note in (note for each in cards for note in each.notes):
            loop.call_soon_threadsafe(self.views.say, note, "alert")
        messages = [*self._system(cards), *map(as_message, context)]
        facts = asdict(self._context) | {"surface": "chat", "cap_nanos": self._cap()}
        temperature = self._session.defaults.temperature
        options = {} if temperature is None else {"temperature": temperature}
        return open_stream(resolve(model), messages, options, facts, self._session.defaults.fallback)

    def _end(self, turn: Turn, stream: TextStream | None) -> None:
        reply = turn.reply
        if stream is not None:
            reply.text, reply.response = stream.text, outcome_of(stream)
        if turn.error is not None:
            reply.state = "error"
            reply.error = error_text(turn.error)
        self._task = None
        self.views.stop_growing()
        if self.settings.thread is not None:
            self._thread = self.talk.messages()
            self._session.threads[self.settings.thread] = list(self._thread)
        self.views.show(reply, allow=_may_allow(turn.error))
        self.changed()
        self._tell_alerts()

    def _cards(self) -> list[Card]:
        return [card(name, value) for name, value in self.settings.variables().items()]

    def _system(self, cards: list[Card]) -> list[LLMMessage]:
        text = "\n\n".join(filter(None, [self.system.strip(), *(each.text for each in cards)]))
        return [LLMMessage(role="system", content=text)] if text else []

    def _cap(self) -> int | None:
        """Return what the next call may cost, in billionths of a dollar."""
        limits: list[float | None] = [self._session.defaults.budget]
        if self.settings.budget is not None:
            limits.append(max(self.settings.budget - self.cost, 0.0))
        known = [cap for cap in limits if cap is not None]
        return to_nanos(min(known)) if known else None

    def _tell_alerts(self) -> None:
        from llmkit.clients.accounting import bound_ratio
        from llmkit.costs.ledger import ledger

        for alert in (*ledger.take_alerts(), *bound_ratio.take()):
            self.views.say(str(alert), "alert")
        if loss := ledger_loss():
            self.views.say(loss, "alert")
        if waiting := ledger.waiting:
            self.views.say(f"The ledger cannot be written: {waiting} calls are kept in memory.", "error")


async def _read(stream: TextStream, feed: Feed) -> None:
    """Show an answer while it arrives."""
    spoken = Spoken()
    ticker = asyncio.get_running_loop().create_task(_tick(feed, stream, spoken))
    try:
        async with aclosing(stream):
            async for piece in stream:
                feed.feed(spoken.feed(piece))
    finally:
        ticker.cancel()


async def _tick(feed: Feed, stream: TextStream, spoken: Spoken) -> None:
    """Show what arrived between two pieces, how long the call waits for another try, and who thinks."""
    while True:
        await asyncio.sleep(1 / MAX_HZ)
        thinking = THINKING if spoken.thinking or stream.thinking else ""
        feed.tick(countdown(stream.waiting) or thinking)


def _may_allow(error: LLMClientError | None) -> str | None:
    """Return the model without a known price that the user may let pass, if that is why it was refused."""
    if not isinstance(error, BudgetExceededError) or error.needed is not None:
        return None
    from llmkit.costs.ledger import ledger

    return f"{error.provider}:{error.model}" if ledger.budget().unpriced == "ask" else None
