"""A question to one model: stream the answer into the cell and record it in the session."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError

from llmkit.clients.registry import resolve
from llmkit.clients.stream import TextStream
from llmkit.content.messages import LLMMessage, LLMResponse, facts
from llmkit.content.parsing import parse, repair
from llmkit.content.reasoning import spoken
from llmkit.core.bridge import bridge
from llmkit.core.errors import BadResponseError, BudgetExceededError, LLMClientError
from llmkit.core.money import format_money
from llmkit.notebook.commands.model_prices import charges, is_free
from llmkit.notebook.commands.next_cell import put_next
from llmkit.notebook.display.error_messages import Stopped, countdown, foreign, kept_in, uninterrupted
from llmkit.notebook.display.footer import build_footer, outcome_of
from llmkit.notebook.display.live import PlainAnswer
from llmkit.notebook.display.output import READ, opening
from llmkit.notebook.display.parts import beside
from llmkit.notebook.display.rich_answer import live_answer
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.notices import take_notices
from llmkit.notebook.reply import Reply, explain_empty
from llmkit.notebook.streams import call_context, open_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.live import LiveAnswer
    from llmkit.notebook.display.parts import Beside
    from llmkit.notebook.reply import ShownRun
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.session import Session
    from llmkit.notebook.tools.stream import ToolStream
    from llmkit.records import CallStatus


class SingleRun:
    """Send a question and show its answer.

    Attributes:
        name: The resolved model.
        stream: The call; `run` starts it.
        reply: The answer after the call, complete or not; `None` if there was no text.
        news: Says that the default model now costs money; empty if nothing changed.
        interrupted: Whether the user interrupted while the final answer was being displayed.
    """

    def __init__(self, session: Session, request: CellRequest, prompt: Prompt, model: str = "") -> None:
        self._session = session
        self._request = request
        self._prompt = prompt
        self.name = resolve(model or None)
        self._label = model or self.name.model or self.name.provider
        self.stream: TextStream | ToolStream = self._open()
        self.news = "" if model else self._switch()
        self._notes = [*filter(None, [self.news]), *prompt.notes]
        self.reply: Reply | None = None
        self.interrupted = False
        self._first: LLMResponse | None = None  # the answer that had the wrong format

    def _switch(self) -> str:
        """Say that the default model costs money if the previous default was free."""
        said = charges(self.name) if self._session.was_free and not is_free(self.name) else ""
        # A message that this question does not show must come with a later one.
        if not self._request.dry_run and not (said and self._request.quiet):
            self._session.was_free = is_free(self.name)
        return said

    def _open(self, further: tuple[LLMMessage, ...] = ()) -> TextStream | ToolStream:
        """Open the call; nothing is sent before its first step."""
        return open_stream(
            self.name,
            [*self._prompt.messages, *further],
            {**({"cache": None} if further else {}), **self._prompt.options},  # a repair does not come again
            call_context(self._session, self._request),
            self._session.defaults.fallback,
        )

    def run(self, *, alone: bool) -> Reply:
        """Ask, show the answer as it comes, and return it."""
        display = live_answer(
            self._session.shell,
            quiet=self._request.quiet,
            alone=alone,
            max_hz=self._session.defaults.max_refresh_hz,
        )
        if alone and not isinstance(display, PlainAnswer):
            self._notes[:0] = filter(None, [self._prompt.sent_along])  # the final output clears printed lines
        try:
            display.start(self._label)
            value = self._answer(display)
        except KeyboardInterrupt:
            # The text so far was paid for, so it is kept.
            where = self._keep(self._finish(display, "cancelled"))
            raise Stopped(where, self.reply) from None
        except LLMClientError as error:
            # A complete answer in the wrong format is displayed as it is.
            self._keep(self._finish(display, "error" if self.stream.response is None else "ok", error), error)
            raise
        except Exception as error:  # the cell boundary: another package's client may raise anything
            ours = foreign(error, self.name.provider)
            self._keep(self._finish(display, "error", error), ours)
            raise ours from error
        return self._conclude(display, value)

    def _answer(self, display: LiveAnswer) -> Any:
        """Stream the answer and parse it; ask once more if it has the wrong format."""
        try:
            self._show(display)
        except BudgetExceededError as error:
            if not agreed(error):
                raise
            # A new stream, because one can be read only once.
            self.stream = self._open()
            self._show(display)
        try:
            return self._read()
        except BadResponseError as error:
            return self._repair(display, error)

    def _repair(self, display: LiveAnswer, error: BadResponseError) -> Any:
        """Send the model its answer and the problem with it, in a second call."""
        further = repair(self.stream.text, error)
        if not further:
            raise error
        self._first = self.stream.outcome
        self._notes.append(self._repeated(self._first))
        self.stream = self._open(tuple(further))
        self._show(display, "retrying: the answer has the wrong format")
        return self._read()

    def _repeated(self, first: LLMResponse | None) -> str:
        """Return the note about a first answer in the wrong format."""
        more = format_money(None if first is None else first.cost_estimate)
        return f"The first answer had the wrong format, so the call was repeated for another {more}."

    def _read(self) -> Any:
        """Parse the answer's text according to its format."""
        form = self._prompt.format
        if form not in READ:
            return None
        try:
            return parse(self.stream.text, form, self._prompt.schema)
        except BadResponseError as error:
            explain_empty(error, self.stream.response)
            raise

    def _show(self, display: LiveAnswer, notice: str = "") -> None:
        """Display the stream; with a notice, display only the notice."""
        feed = self.feeder(display, silent=bool(notice))
        filtered = Spoken()
        # An interrupt must also end the call, which runs on the bridge's loop.
        assert isinstance(self.stream, TextStream)
        with closing(bridge.stream(self.stream)) as pieces:
            for piece in pieces:
                feed(filtered.feed(piece or ""))
                thinking = THINKING if filtered.thinking or self.stream.thinking else ""
                display.tick(countdown(self.stream.waiting) or notice or thinking)
        # The filter holds back text that may be the beginning of a think tag.
        feed(filtered.rest())

    def feeder(self, display: LiveAnswer, *, silent: bool = False) -> Callable[[str], None]:
        """Return what shows the pieces of the text as what they are."""
        form, terminal = self._prompt.format, isinstance(display, PlainAnswer)
        if silent or (terminal and form in READ):
            return lambda _: None
        before = ["" if terminal else opening(form)]

        def feed(piece: str) -> None:
            if piece:
                display.feed("".join(before) + piece)
                before.clear()

        return feed

    def _conclude(self, display: LiveAnswer, value: Any) -> Reply:
        """Display the final answer and record it."""
        response = self.stream.response
        assert response is not None
        reply = Reply(
            response,
            self._session.shell,
            form=self._prompt.format,
            value=value,
            run=self._tool_run,
            before=self._first,
        )
        if self._request.code:
            self._notes += filter(None, [put_next(self._session, reply.code, self._request.failed)])
        reply.footer = self._finish(display, "ok", reply=reply)
        self._remember(reply)
        return reply

    def _keep(self, footer: Footer | None, error: LLMClientError | None = None) -> str:
        """Record a partial or unusable answer, and say where it is."""
        stream, form = self.stream, self._prompt.format
        if not stream.text.strip() and self._tool_run is None:
            return ""
        reply = Reply(
            outcome_of(stream) or self._so_far(),
            self._session.shell,
            form="text" if form in READ else form,  # nothing was read from it
            ended=stream.response is not None,
            run=self._tool_run,
            before=self._first,
        )
        reply.footer = footer
        self._remember(reply)
        where = kept_in(self._request.out)
        if error is not None:
            error.add_note(f"The text so far is in {where}.")
        return where

    @property
    def _tool_run(self) -> ShownRun | None:
        """The run with tools, if this is one."""
        return None

    def _remember(self, reply: Reply) -> None:
        """Record an answer in the session: its thread, its log, `%llm last`."""
        self.reply, thread = reply, self._request.thread
        if thread is not None:
            self._session.extend_thread(thread, self._prompt, reply)
        self._session.add(self._label, self._prompt, reply)

    def _finish(
        self,
        display: LiveAnswer,
        status: CallStatus,
        error: Exception | None = None,
        reply: Reply | None = None,
    ) -> Footer | None:
        """Display the final answer; an interrupt is held back until that is done."""
        with uninterrupted() as late:
            footer = self._footer(status)
            final = None if reply is None else reply.shown
            text, html = (spoken(self.stream.text), None) if final is None else (final.text, final.html)
            display.finish(text, footer, facts_of(self.stream, error), status, html, beside=self._beside())
        self.interrupted = bool(late)
        return footer

    def _beside(self) -> Beside:
        """Return what is shown beside the text."""
        return beside(self.stream.outcome)

    def _footer(self, status: CallStatus) -> Footer | None:
        from llmkit.costs.ledger import ledger

        outcome = outcome_of(self.stream)
        if self.stream.outcome is None and self.stream.text:  # stopped, and still closing its connection
            outcome = self._so_far()
        if outcome is None or not self._session.defaults.footer:
            return None
        spent = ledger.session_total(simulated=outcome.simulated)
        about = spent.estimated > 0
        footer = build_footer(
            outcome, label=self._label, session_cost=spent.usd, estimated=about, status=status
        )
        waiting = ledger.waiting
        problem = f"The ledger cannot be written: {waiting} calls are kept in memory." if waiting else ""
        notes = (*self._notes, footer.note, problem, *take_notices())
        return replace(footer, note=" ".join(filter(None, notes)))

    def _so_far(self) -> LLMResponse:
        """Return the text of a call whose price is not known yet."""
        return LLMResponse(
            content=self.stream.text,
            provider=self.name.provider,
            model=self.stream.request.model,
            simulated=self.stream.simulated,
        )


def agreed(error: BudgetExceededError) -> bool:
    """Ask the user about a model whose price is unknown, if the budget says so."""
    from llmkit.costs.ledger import ledger

    budget = ledger.budget()
    if error.needed is not None or budget.unpriced != "ask":
        return False
    name = f"{error.provider}:{error.model}"
    try:
        answer = input(f"The price of {name} is unknown. Send the request anyway? [y/N] ")
    except (StdinNotImplementedError, EOFError):  # there is no user, as in nbconvert
        return False
    if answer.strip().lower() not in {"y", "yes"}:
        return False
    budget.allow_model(name)
    return True


def facts_of(stream: TextStream | ToolStream, error: Exception | None = None) -> dict[str, Any]:
    """Return the metadata of the output; empty if the call was interrupted before it was sent."""
    if stream.outcome is None:
        return {}
    return {**facts(stream.outcome), "error": None if error is None else type(error).__name__}
