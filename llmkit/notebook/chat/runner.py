"""What a chat does: questions, their answers, and what goes with them.

All of it happens on the bridge's event loop, so that nothing needs a lock and a view's messages keep their
order. A handler of the front end's messages only hands them over: Stop works while an answer arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.registry import resolve
from llmkit.content.describe import card
from llmkit.content.messages import LLMMessage
from llmkit.content.tools import Tool, tools_of
from llmkit.core.errors import BudgetExceededError, ConfigurationError, LLMClientError
from llmkit.core.money import to_nanos
from llmkit.notebook.chat.approvals import SECONDS, Approvals
from llmkit.notebook.chat.chat_call import ChatCall, least
from llmkit.notebook.chat.conversation import Conversation, as_messages, reply_of
from llmkit.notebook.chat.header import context_form, money_form, spent
from llmkit.notebook.chat.message_handlers import MessageHandlers
from llmkit.notebook.chat.tool_turn import ToolTurn
from llmkit.notebook.chat.views import Views
from llmkit.notebook.display.error_messages import countdown, error_text, foreign
from llmkit.notebook.display.footer import outcome_of
from llmkit.notebook.display.parts import one_line
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.display.throttle import MAX_HZ
from llmkit.notebook.notices import take_notices
from llmkit.notebook.session_log import answer_messages
from llmkit.notebook.tools.executors import CallerExecutor, KernelExecutor
from llmkit.notebook.tools.stream import ToolStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextvars import Context

    from llmkit.clients.stream import TextStream
    from llmkit.clients.tools.execution import Question
    from llmkit.content.attachments import Attachment
    from llmkit.content.describe import Card
    from llmkit.content.tools import ToolSource
    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.chat.feed import Feed
    from llmkit.notebook.session import Session
    from llmkit.notebook.tools.executors import Executor


@dataclass(slots=True, kw_only=True)
class ChatSettings:
    """Settings of a chat."""

    model: str | None = None  # `None` is the default model
    system: str = ""
    thread: str | None = None  # conversation shared with `%%llm -t`
    variables: Callable[[], Mapping[str, Any]] = dict  # called for each question: variables change
    starters: tuple[str, ...] = ()  # offered while the chat is empty
    budget: float | None = None  # of the whole chat, in US dollars
    tools: tuple[Tool | Mapping[str, Any] | ToolSource, ...] = ()  # that the model may call
    max_steps: int = 8  # requests to the model for an answer with tools
    max_cost: float | None = None  # of an answer with tools, in US dollars
    patience: float = SECONDS  # how long a question about a tool waits for an answer


@dataclass(slots=True)
class Turn:
    """How one question was answered."""

    reply: Node
    error: LLMClientError | None = None
    sent: int = 0  # messages


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
        self.shown_in: Context | None = None  # of the output that shows the chat
        self.called: Callable[[], str] = lambda: "chat"  # how a cell writes it
        self._task: asyncio.Task[Turn] | None = None
        self._tool_turn: ToolTurn | None = None
        self.approvals = Approvals(self.views, session.allowed_tools, settings.patience)
        self._thread: list[LLMMessage] = []
        self._handlers = MessageHandlers(self)
        self.follow_thread()

    async def ask(
        self,
        text: str,
        attachments: Sequence[Attachment] = (),
        instead_of: Node | None = None,
        executor: Executor | None = None,
    ) -> Turn:
        """Ask a question, and wait for its answer.

        Args:
            text: The question.
            attachments: What goes with it.
            instead_of: The question that it is another version of.
            executor: Runs tools for code that waits; a view's question has the kernel's main thread for them.
        """
        if not text.strip():
            raise ConfigurationError("The question is empty.", hint="Type a question.")
        self.check_idle()
        self.follow_thread()
        question = self.talk.ask(text, attachments=attachments, instead_of=instead_of)
        return await self.answer(question, executor=executor)

    async def answer(
        self, question: Node, model: str | None = None, executor: Executor | None = None
    ) -> Turn:
        """Ask a question of the conversation, maybe again."""
        self.check_idle()
        chosen = model or self.model
        reply = self.talk.answer(question, state="open", model=chosen)
        feed = self.views.grow(reply)
        self.views.show_after(question.parent)
        self._task = asyncio.get_running_loop().create_task(self._run(question, reply, feed, executor))
        self._task.add_done_callback(lambda task: self._end_unstarted(task, reply))
        return await self._task

    def stop(self) -> None:
        """Stop the answer that is under way, if there is one; an unanswered question is a denial."""
        if self._task is not None and not (self._tool_turn is not None and self._tool_turn.stop()):
            self._task.cancel()

    def view_closed(self, view: object = None) -> None:
        """Deny what is asked if the last view has gone; `None` is all of them."""
        self.views.closed(view)
        if not self.views.are_open:
            self.approvals.deny()

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
            "called": self.called(),
            "model": self.model,
            "system": self.system,
            "variables": list(self.settings.variables()),
            "thread": self.settings.thread,
            "tools": [_tool_name(one) for one in self.settings.tools],
            **context_form(self.talk),
            **money_form(self.talk, self.settings.budget),
        }

    def changed(self) -> None:
        """Bring the header and the saved copies up to date."""
        self.views.send(self.head)
        self._keep()

    async def _run(self, question: Node, reply: Node, feed: Feed, executor: Executor | None) -> Turn:
        """Ask, and keep what comes; never raises, for also a failed answer stays in the conversation."""
        stream: TextStream | ToolStream | None = None
        turn = Turn(reply)
        try:
            call = await asyncio.to_thread(
                self._prepare, self.talk.context(question), reply.model, asyncio.get_running_loop()
            )
            turn.sent = len(call.messages)
            stream = await asyncio.to_thread(call.open)
            if isinstance(stream, ToolStream):
                await self._read_run(stream, call, reply, feed, executor)
            else:
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

    async def _read_run(
        self, stream: ToolStream, call: ChatCall, reply: Node, feed: Feed, executor: Executor | None
    ) -> None:
        """Do a run with tools; a person is asked where they are: in the views, or in the cell that waits."""

        async def ask(question: Question) -> None:
            if executor is None or (self.views.are_open and not isinstance(executor, CallerExecutor)):
                await self.approvals.ask(question, reply)
            else:
                await executor.ask(question, self._session.allowed_tools)

        doer = executor or KernelExecutor(self._session.shell, self.shown_in)
        turn = self._tool_turn = ToolTurn(stream, feed, doer, ask)
        ticker = asyncio.get_running_loop().create_task(_tick(feed, stream, lambda: turn.notice))
        try:
            await turn.read(call.context)
        finally:
            self._tool_turn = None
            ticker.cancel()
        if stream.run.response is None:
            raise BudgetExceededError(
                "The first request may cost more than this answer may, so nothing was sent.",
                needed=least(call.max_cost, call.left),
                hint="Raise max_cost or budget of the chat.",
            )

    def _end_unstarted(self, task: asyncio.Task[Turn], reply: Node) -> None:
        """End a turn that was stopped before its first step: only then is its task cancelled."""
        if task.cancelled():
            reply.state = "cancelled"
            self._end(Turn(reply), None)

    def _prepare(self, context: list[Node], model: str, loop: asyncio.AbstractEventLoop) -> ChatCall:
        """Prepare a call; nothing is sent before its first step. Runs in a thread: imports take a while."""
        cards = self._cards()
        for note in (note for each in cards for note in each.notes):
            loop.call_soon_threadsafe(self.views.say, note, "alert")
        defaults, settings = self._session.defaults, self.settings
        return ChatCall(
            name=resolve(model),
            messages=[*self._system(cards), *(one for node in context for one in as_messages(node))],
            options={} if defaults.temperature is None else {"temperature": defaults.temperature},
            context=asdict(self._context) | {"surface": "chat", "cap_nanos": self._cap()},
            fallback=tuple(defaults.fallback),
            tools=tools_of(settings.tools),
            max_steps=settings.max_steps,
            max_cost=settings.max_cost,
            left=self._left,
        )

    def _end(self, turn: Turn, stream: TextStream | ToolStream | None) -> None:
        reply = turn.reply
        if stream is not None:
            _keep(turn, stream)
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

    @property
    def _left(self) -> float | None:
        """What is left of the chat's budget, in US dollars."""
        budget = self.settings.budget
        return None if budget is None else max(budget - self.cost, 0.0)

    def _cap(self) -> int | None:
        """Return what the next call may cost, in billionths of a dollar."""
        cap = least(self._session.defaults.budget, self._left)
        return None if cap is None else to_nanos(cap)

    def _tell_alerts(self) -> None:
        from llmkit.costs.ledger import ledger

        for alert in take_notices():
            self.views.say(alert, "alert")
        if waiting := ledger.waiting:
            self.views.say(f"The ledger cannot be written: {waiting} calls are kept in memory.", "error")


def _keep(turn: Turn, stream: TextStream | ToolStream) -> None:
    """Keep what came of a call, and what of it the next question brings along."""
    reply = turn.reply
    reply.text, reply.response = stream.text, outcome_of(stream)
    if isinstance(stream, ToolStream):
        reply.run, reply.events = stream.run, tuple(stream.history)
    if reply.response is not None:
        said = answer_messages(reply_of(reply, ended=stream.response is not None), turn.sent)
        reply.messages = tuple(said) if any(message.parts for message in said) else ()


def _tool_name(tool: Tool | Mapping[str, Any] | ToolSource) -> str:
    """Return what the header calls a tool, or a server of tools."""
    if isinstance(tool, Tool):
        return tool.name
    return one_line(str(tool.get("type", "tool")) if isinstance(tool, Mapping) else tool.title, 40)


async def _read(stream: TextStream, feed: Feed) -> None:
    """Show an answer while it arrives."""
    spoken = Spoken()
    thinks = lambda: THINKING if spoken.thinking or stream.thinking else ""  # noqa: E731 - a line is enough
    ticker = asyncio.get_running_loop().create_task(_tick(feed, stream, thinks))
    try:
        async with aclosing(stream):
            async for piece in stream:
                feed.feed(spoken.feed(piece))
    finally:
        ticker.cancel()


async def _tick(feed: Feed, stream: TextStream | ToolStream, notice: Callable[[], str]) -> None:
    """Show what arrived between two pieces, how long the call waits for another try, and what goes on."""
    while True:
        await asyncio.sleep(1 / MAX_HZ)
        feed.tick(countdown(stream.waiting) or notice())


def _may_allow(error: LLMClientError | None) -> str | None:
    """Return the model without a known price that the user may let pass, if that is why it was refused."""
    if not isinstance(error, BudgetExceededError) or error.needed is not None:
        return None
    from llmkit.costs.ledger import ledger

    return f"{error.provider}:{error.model}" if ledger.budget().unpriced == "ask" else None
