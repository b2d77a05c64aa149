"""`llmkit.Chat`: a conversation with a model beside the cells, in a browser and from Python."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import closing
from copy import copy
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llmkit.clients.registry import resolve
from llmkit.clients.tools.loop import check_limits
from llmkit.content.attachments import attach
from llmkit.content.messages import facts
from llmkit.core.bridge import bridge
from llmkit.core.errors import ConfigurationError
from llmkit.notebook.chat.conversation import reply_of
from llmkit.notebook.chat.header import shown_cost
from llmkit.notebook.chat.runner import ChatRunner, ChatSettings
from llmkit.notebook.chat.text import entries, plain_text, saved_html
from llmkit.notebook.display.error_messages import Stopped
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.display.saved_copies import NO_WIDGETS, SavedCopies
from llmkit.notebook.reply import Reply
from llmkit.notebook.scope import Scope, caller
from llmkit.notebook.session import Session, find_session
from llmkit.notebook.shell import current_shell, has_kernel, output_context, say
from llmkit.notebook.tools.executors import CallerExecutor, KernelExecutor
from llmkit.notebook.tools.names import given_tools
from llmkit.notebook.transcript import write_transcript

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from pathlib import Path

    import pandas as pd

    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.chat.chat_widget import ChatWidget
    from llmkit.notebook.chat.conversation import Conversation, Node
    from llmkit.notebook.chat.runner import Turn
    from llmkit.notebook.tool_runs import Turn as ThreadTurn

INSTEAD = f'{NO_WIDGETS}: use .ask("…"), .df and .export("chat.md").'
"""What a front end without widgets shows: how to go on from Python."""

KEPT = "the last of the chat's .messages"
"""Where an answer is that was stopped or cut."""


class Chat:
    """A chat with a model: shown in the notebook, or used from Python alone.

    The last line of a cell shows it. Enter sends, Shift+Enter breaks the line, Esc stops, and ↑ in the empty
    box edits the last question. Edited questions and further answers are versions, and none is lost.
    Every call leaves a row in the ledger, with the surface `chat`.

    Args:
        model: Model or alias; by default that of `%llm model`, of the settings, or the first with a key.
        system: System prompt; by default that of `%config LLMMagics.system`.
        thread: Name of the conversation to share with `%%llm -t NAME`; needs `%load_ext llmkit`.
        vars: Variables that are described to the model: names, or objects that have a name in the notebook.
            They are described anew with each question.
        starters: Questions to offer as buttons while there is none; by default some about the variables.
        budget: What the whole chat may cost, in US dollars; a call that may cost more than what is left is
            refused. By default there is no limit but those of `llmkit.budget`.
        tools: Functions, tools made by `llmkit.tool` or `llmkit.mcp`, and the provider's own as dicts, which
            the model may call. Plain functions run on the kernel's main thread, between cells. A call that
            needs approval has buttons; one that nobody answers is not run.
        max_steps: Maximum number of requests to the model for one answer with tools.
        max_cost: Maximum price of one answer with tools, in US dollars.

    Raises:
        ConfigurationError: If the model is not known, a variable is not there, or the extension is needed.
        InvalidRequestError: If `tools` or a limit is invalid.

    Example:
        >>> chat = Chat("sandbox")
        >>> print(chat.ask("repeat exactly: Hello"))
        Hello
        >>> [message.role for message in chat.messages]
        ['user', 'assistant']
    """

    def __init__(
        self,
        model: str | None = None,
        system: str | None = None,
        thread: str | None = None,
        *,
        vars: Sequence[Any] | Mapping[str, Any] = (),  # noqa: A002 - the name that the specification gives it
        starters: Iterable[str] | None = None,
        budget: float | None = None,
        tools: Iterable[Any] | Callable[..., Any] = (),
        max_steps: int = 8,
        max_cost: float | None = None,
    ) -> None:
        _check(model, thread, budget)
        check_limits(max_steps, max_cost)
        self._shell = current_shell()
        self._take_variables(vars, Scope(_variables(self._shell), caller()))
        offered = _starters(self._names, self._given) if starters is None else starters
        settings = ChatSettings(
            model=model,
            system=system or "",
            thread=thread,
            variables=self._values,
            starters=tuple(map(str, offered)),
            budget=budget,
            tools=given_tools(tools),
            max_steps=max_steps,
            max_cost=max_cost,
        )
        self._begin(settings)

    def _take_variables(self, variables: Sequence[Any] | Mapping[str, Any], scope: Scope) -> None:
        self._given = dict(variables) if isinstance(variables, Mapping) else {}
        names = [] if self._given else _names(variables, scope)
        # A function's own names end with it, and a module's are not the notebook's: so their values now.
        own = _variables(self._shell)
        self._names = [n for n in names if n not in scope.locals and n in own and scope[n] is own[n]]
        self._given |= {name: scope[name] for name in names if name not in self._names}

    def ask(self, text: str, *, attachments: Iterable[Any] = ()) -> Reply:
        """Ask, and wait for the answer; an interrupt stops it.

        Args:
            text: The question.
            attachments: What goes with it; anything that `llmkit.attach` takes.

        Returns:
            The answer.

        Raises:
            LLMClientError: If there is no whole answer; what had arrived stays in the chat.
            Stopped: If it was stopped, here or in the chat.
        """
        files, executor = [attach(one) for one in attachments], CallerExecutor()
        asked: list[asyncio.Task[Turn]] = []

        async def work() -> AsyncGenerator[ThreadTurn, None]:
            asked.append(asyncio.ensure_future(self._runner.ask(text, files, executor=executor)))
            async for each in executor.serve(*asked):
                yield each

        try:
            with closing(bridge.stream(work())) as turns:
                for turn in filter(None, turns):
                    executor.take(turn)
            return _reply(asked[0].result())
        except Stopped:
            raise
        except KeyboardInterrupt:
            last = self._runner.talk.branch[-1:]
            raise _stopped(*last) from None

    async def aask(self, text: str, *, attachments: Iterable[Any] = ()) -> Reply:
        """Ask, and wait for the answer without blocking other tasks; see `ask`.

        Args:
            text: The question.
            attachments: What goes with it; anything that `llmkit.attach` takes.

        Returns:
            The answer.

        Raises:
            LLMClientError: If there is no whole answer.
            CancelledError: If it was stopped, in the chat or by a cancelled task.
        """
        files = [attach(one) for one in attachments]
        executor = KernelExecutor(self._shell)
        turn = await asyncio.wrap_future(bridge.submit(self._runner.ask(text, files, executor=executor)))
        try:
            return _reply(turn)
        except Stopped:  # a KeyboardInterrupt would end the event loop
            raise asyncio.CancelledError from None

    def stop(self) -> None:
        """Stop the answer that is under way; what has arrived stays."""
        bridge.loop().call_soon_threadsafe(self._runner.stop)

    @property
    def model(self) -> str:
        """Who is asked; another name may be assigned."""
        return self._runner.model

    @model.setter
    def model(self, name: str) -> None:
        resolve(name)
        bridge.loop().call_soon_threadsafe(self._runner.set_model, name)
        self._runner.settings.model = name

    @property
    def system(self) -> str:
        """The system prompt; another text may be assigned."""
        return self._runner.system

    @system.setter
    def system(self, text: str) -> None:
        bridge.loop().call_soon_threadsafe(self._runner.set_system, text)
        self._runner.settings.system = text.strip()

    @property
    def messages(self) -> list[LLMMessage]:
        """What the next question would bring along: the system message, and the branch that is shown.

        Hidden turns, and questions without an answer, are not among them.
        """
        return [*self._runner.system_messages(), *self._runner.talk.messages()]

    @property
    def cost(self) -> float:
        """What all answers cost, those of other branches too, in US dollars: the sum in the header.

        Simulated answers count as long as no real one cost anything.
        """
        return shown_cost(self._runner.talk)

    @property
    def df(self) -> pd.DataFrame:
        """All messages of all branches, one a row, in the order of time."""
        import pandas as pd

        shown = set(self._runner.talk.branch)
        rows = [_row(node, shown=node in shown) for node in self._runner.talk]
        frame = pd.DataFrame(rows, columns=list(_row(None, shown=False)))
        return frame.astype(dict.fromkeys(["message", "follows", "input_tokens", "output_tokens"], "Int64"))

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the branch that is shown into a file that only its owner can read.

        Args:
            path: The file; `.md` is Markdown, `.html` a page. Only an earlier export is replaced.

        Returns:
            The file's path.

        Raises:
            ConfigurationError: If another file is there, the ending is another, or it cannot be written.
        """
        return write_transcript(path, entries(self._runner.talk.branch, self.system))

    def to_cell(self) -> None:
        """Put the last answer's code into the next cell; its text, if there is no code.

        A chat's own buttons can only copy: Jupyter lets no widget make cells, but a running cell may.

        Raises:
            ConfigurationError: If there is no answer, or no notebook.
        """
        branch = reversed(self._runner.talk.branch)
        last = next((node for node in branch if node.text and node.role == "assistant"), None)
        response = None if last is None else last.response
        if response is None or self._shell is None:
            raise ConfigurationError("There is no answer to put into a cell.", hint="Ask something first.")
        self._shell.set_next_input(Reply(response).code or response.content)

    def __copy__(self) -> Chat:
        """Return a chat that goes on by itself from here, with the same tools."""
        made = type(self).__new__(type(self))
        made.__setstate__(self.__getstate__())
        made._runner.settings.tools = self._runner.settings.tools  # noqa: SLF001 - of the same class
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle has: the conversation and its settings, not its views and tools."""
        settings = self._runner.settings
        kept = {
            one.name: getattr(settings, one.name)
            for one in fields(settings)
            if one.name not in {"variables", "tools"}
        }
        return {"settings": kept, "given": self._given, "names": self._names, "talk": self._runner.talk}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with a conversation here; a thread is shared only where the extension is loaded."""
        self._shell = current_shell()
        self._given, self._names = dict(state["given"]), list(state["names"])
        settings = ChatSettings(**state["settings"], variables=self._values)
        settings.thread = None if find_session() is None else settings.thread
        self._begin(settings, copy(state["talk"]))

    def _begin(self, settings: ChatSettings, talk: Conversation | None = None) -> None:
        self._name = uuid.uuid4().hex[:12]
        self._widget: ChatWidget | None = None
        self._copies = SavedCopies(self._saved, INSTEAD)
        session = find_session() or Session(self._shell)
        self._runner = ChatRunner(settings, session, self._publish, self._copies.update, talk)
        self._runner.called = self._called

    def __repr__(self) -> str:
        talk = self._runner.talk
        return f"<Chat with {self.model}: {len(talk)} messages>"

    def _ipython_display_(self) -> None:
        """Show the chat, and keep a copy of it beside it that is saved with the notebook."""
        if not has_kernel(self._shell):
            text = plain_text(self._runner.talk.branch) if len(self._runner.talk) else repr(self)
            say(f"{text.rstrip()}\n{INSTEAD}")
            return
        self._runner.shown_in = output_context(self._shell)
        self._copies.show(self._shell.display_pub, self._live())

    def _live(self) -> ChatWidget:
        """Return the widget; made when the chat is shown first."""
        from llmkit.notebook.chat.chat_widget import ChatWidget  # it loads ipywidgets

        if self._widget is None:
            self._widget = ChatWidget(self._name, self._receive)
        return self._widget

    def _receive(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Hand a front end's message over, from whatever thread."""
        bridge.loop().call_soon_threadsafe(self._runner.receive, message, buffers)

    def _publish(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        if self._widget is not None:
            self._widget.send(message, buffers)

    def _saved(self) -> dict[str, str]:
        branch = self._runner.talk.branch
        html = saved_html(branch, self.system, self._name)
        return {"text/html": html, "text/plain": plain_text(branch, self.system)}

    def _called(self) -> str:
        """Return how a cell writes this chat: its variable, or its place among the outputs of cells."""
        space = dict(_variables(self._shell))
        named = [name for name, value in space.items() if value is self and not name.startswith("_")]
        outputs = space.get("Out")  # the user's own, if a variable is called so
        found = outputs.items() if isinstance(outputs, dict) else ()
        numbers = [number for number, value in found if value is self]
        return next(iter([*named, *(f"Out[{number}]" for number in numbers)]), "chat")

    def _values(self) -> dict[str, Any]:
        """Return the attached variables as they are now; one that was deleted is left out."""
        space = _variables(self._shell)
        return {name: space[name] for name in self._names if name in space} | self._given


def _check(model: str | None, thread: str | None, budget: float | None) -> None:
    """Refuse wrong arguments of a chat before it is made."""
    if model is not None:
        resolve(model)
    if budget is not None and not budget >= 0:  # NaN is not below 0
        raise ConfigurationError(f"budget must be >= 0 US dollars, got {budget!r}.")
    if thread is not None and find_session() is None:
        raise ConfigurationError("A thread is shared with %%llm.", hint="Run %load_ext llmkit first.")


def _variables(shell: Any) -> dict[str, Any]:
    return {} if shell is None else shell.user_ns


def _starters(*variables: Iterable[str]) -> tuple[str, ...]:
    """Return questions to begin with, about the first variable if there is one."""
    names = [name for each in variables for name in each]
    if not names:
        return ("Explain list comprehensions with an example", "Write a function that counts words in a text")
    return (f"What stands out in {names[0]}?", f"Write code that summarises {names[0]} in a chart")


def _reply(turn: Turn) -> Reply:
    """Return the answer of a turn, or raise why there is none."""
    if turn.error is not None:
        if turn.reply.text.strip() or turn.reply.run is not None:
            turn.error.add_note(f"The text so far is in {KEPT}.")
        raise turn.error
    if turn.reply.state == "cancelled" or turn.reply.response is None:
        raise _stopped(turn.reply)
    return reply_of(turn.reply, ended=True)


def _stopped(node: Node | None = None) -> Stopped:
    """Return the exception of an answer that was stopped; the text so far stays in the chat."""
    if node is None or node.role == "user" or not (node.text.strip() or node.run):
        return Stopped()
    return Stopped(KEPT, reply_of(node, ended=False))


def _names(given: Sequence[Any] | Mapping[str, Any], space: Mapping[str, Any]) -> list[str]:
    """Return the names of variables that were given by name, or as the objects themselves."""
    return [_name_of(one, space) for one in ([given] if isinstance(given, str) else given)]


def _name_of(one: Any, space: Mapping[str, Any]) -> str:
    if isinstance(one, str) and one in space:
        return one
    for name, value in space.items():
        if value is one and not name.startswith("_"):  # IPython's own _ and _1 hold results, too
            return name
    raise ConfigurationError(
        f"There is no variable {one!r:.80}.", hint='Name it: vars=["df"], or vars={"df": df}.'
    )


def _row(node: Any, *, shown: bool) -> dict[str, Any]:
    found = facts(getattr(node, "response", None))
    parent = getattr(node, "parent", None)
    return {
        "message": getattr(node, "number", None),
        "follows": getattr(parent, "number", None) or None,
        "role": getattr(node, "role", None),
        "text": None if node is None else plain(node.text),  # `messages` have it as it came
        "model": found["model"],
        "input_tokens": found["input_tokens"],
        "output_tokens": found["output_tokens"],
        "cost": found["cost_usd"],
        "seconds": found["duration_s"],
        "state": getattr(node, "state", None),
        "hidden": getattr(node, "hidden", None),
        "shown": shown,
    }
