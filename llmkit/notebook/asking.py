"""One question from a cell: who is asked, what is sent, how the answer is shown."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError

from llmkit import records
from llmkit.clients.registry import resolve, shared_client
from llmkit.errors import BudgetExceededError, LLMClientError
from llmkit.messages import LLMMessage
from llmkit.notebook.bridge import bridge
from llmkit.notebook.cell import interpolate
from llmkit.notebook.errors import Stopped, countdown, uninterrupted
from llmkit.notebook.footer import build_footer
from llmkit.notebook.live import live_answer
from llmkit.notebook.options import CellError
from llmkit.notebook.reply import Reply
from llmkit.prices import to_nanos

if TYPE_CHECKING:
    from llmkit.clients.stream import TextStream
    from llmkit.notebook.cell import Ask
    from llmkit.notebook.footer import Footer
    from llmkit.notebook.live import LiveAnswer
    from llmkit.notebook.magics import LLMMagics
    from llmkit.notebook.rich import Ending


class Asking:
    """Send a question and show its answer.

    Args:
        magics: The magics: settings, threads, the shell.
        ask: The question.

    Attributes:
        interrupted: Whether the user interrupted while the whole answer was being shown.

    Raises:
        CellError: If the cell names a variable that is not there, or several models.
        ConfigurationError: If the model is not known.
    """

    def __init__(self, magics: LLMMagics, ask: Ask) -> None:
        self._magics = magics
        self._ask = ask
        self.interrupted = False
        chosen = ask.model or magics.model
        if "," in chosen:
            raise CellError(f"Several models: {chosen}.", hint="Ask one at a time.")
        self._name = resolve(ask.model or magics.model or None)
        self._label = ask.model or magics.model or self._name.model or self._name.provider
        self._history = [] if ask.new or ask.thread is None else magics.threads.get(ask.thread, [])
        self._notes: list[str] = []
        self._question = LLMMessage(role="user", content=self._fill(ask.prompt.strip("\n")))

    def run(self, *, alone: bool) -> Reply:
        """Ask, show the answer as it comes, and return it.

        Args:
            alone: Whether the answer is all that the cell shows.

        Raises:
            LLMClientError: If there is no whole answer; what had arrived stays on display.
            Stopped: If the user interrupted it.
        """
        display = live_answer(self._magics.shell, quiet=self._ask.quiet, alone=alone)
        stream = self._stream()
        try:
            display.start(self._label)
            try:
                self._show(display, stream)
            except BudgetExceededError as error:
                if not agreed(error):
                    raise
                stream = self._stream()
                self._show(display, stream)
        except KeyboardInterrupt:
            self._finish(display, stream, "cancelled")
            raise Stopped from None
        except LLMClientError as error:
            self._finish(display, stream, "error", error)
            raise
        except Exception as error:  # the cell boundary: another package's client may raise anything
            self._finish(display, stream, "error", error)
            raise LLMClientError(
                f"The call failed: {type(error).__name__}: {error}", provider=self._name.provider
            ) from error
        assert stream.response is not None
        self._finish(display, stream, "ok")
        self._remember(stream.text)
        return Reply(stream.response, self._magics.shell)

    def _show(self, display: LiveAnswer, stream: TextStream) -> None:
        """Show the answer as it comes."""
        with closing(bridge.stream(stream)) as pieces:
            for piece in pieces:
                if piece is not None:
                    display.feed(piece)
                display.tick(countdown(stream.waiting))

    def _finish(
        self, display: LiveAnswer, stream: TextStream, status: Ending, error: Exception | None = None
    ) -> None:
        """Show the final answer; an interrupt waits until that is done."""
        with uninterrupted() as late:
            display.finish(stream.text, self._footer(stream, status), _facts(stream, error), status)
        self.interrupted = bool(late)

    def _stream(self) -> TextStream:
        """Open the stream; nothing is sent before its first step."""
        client = shared_client(str(self._name), tuple(self._magics.fallback))
        chosen = self._ask.temperature if self._ask.temperature is not None else self._magics.temperature
        options = {} if chosen is None else {"temperature": chosen}
        messages = [*self._system(), *self._history, self._question]
        with records.calling(surface="magic", **self._limits()):
            stream: Any = client.stream_text(
                messages, self._name.model, max_tokens=self._ask.max_tokens, **options
            )
        return stream  # type: ignore[no-any-return]  # shared clients are metered: theirs is a TextStream

    def _limits(self) -> dict[str, Any]:
        """Return what holds for this call alone: what it may cost, and whether it is replayed."""
        budget = self._magics.budget if self._ask.budget is None else self._ask.budget
        replay = "off" if self._ask.no_cache else "refresh" if self._ask.refresh else None
        return {"cap_nanos": None if budget is None else to_nanos(budget), "replay": replay}

    def _system(self) -> list[LLMMessage]:
        name = self._ask.system_variable
        text = self._ask.system if self._ask.system is not None else self._magics.system
        if name is not None:
            filled = interpolate(f"{{{{{name}}}}}", self._magics.variables)
            self._notes += filled.notes
            text = filled.text
        return [LLMMessage(role="system", content=text)] if text and text.strip() else []

    def _fill(self, prompt: str) -> str:
        """Put variables into the prompt; what looks like a key stays out."""
        if self._ask.raw:
            return prompt
        filled = interpolate(prompt, self._magics.variables)
        self._notes += filled.notes
        if not filled.text.strip():
            raise CellError(
                "The prompt is empty once its variables are filled in.", hint="Check their values."
            )
        return filled.text

    def _remember(self, answer: str) -> None:
        if self._ask.thread is not None and answer.strip():
            reply = LLMMessage(role="assistant", content=answer)
            self._magics.threads[self._ask.thread] = [*self._history, self._question, reply]

    def _footer(self, stream: TextStream, status: Ending) -> Footer | None:
        from llmkit.costs.ledger import ledger

        sent = stream.outcome is not None and (stream.outcome.attempts or stream.outcome.replayed)
        if stream.outcome is None or not sent or not self._magics.footer:
            return None
        spent = ledger.session_total(simulated=stream.outcome.simulated)
        footer = build_footer(stream.outcome, label=self._label, session_cost=spent.usd, status=status)
        waiting = ledger.waiting
        trouble = f"The ledger cannot be written: {waiting} calls wait in memory." if waiting else ""
        alerts = map(str, ledger.take_alerts())
        return replace(footer, note=" ".join(filter(None, (*self._notes, footer.note, trouble, *alerts))))


def agreed(error: BudgetExceededError) -> bool:
    """Ask the user about a model whose price nobody knows, if the budget says so.

    Args:
        error: Why the call was refused.

    Returns:
        Whether to send it after all.
    """
    from llmkit.costs.ledger import ledger

    budget = ledger.budget()
    if error.needed is not None or budget.unpriced != "ask":
        return False
    name = f"{error.provider}:{error.model}"
    try:
        answer = input(f"The price of {name} is unknown. Send it all the same? [y/N] ")
    except (StdinNotImplementedError, EOFError):  # nobody is there, as in nbconvert
        return False
    if answer.strip().lower() not in {"y", "yes"}:
        return False
    budget.allow_model(name)
    return True


def _facts(stream: TextStream, error: Exception | None = None) -> dict[str, Any]:
    """Return what is saved with the output: no prompt, no key."""
    outcome = stream.outcome
    if outcome is None:  # it was interrupted before anything was sent
        return {}
    return {
        "uid": outcome.uid,
        "provider": outcome.provider,
        "model": outcome.model,
        "input_tokens": outcome.prompt_tokens,
        "output_tokens": outcome.completion_tokens,
        "cost_usd": outcome.cost_estimate,
        "usage_source": outcome.usage_source,
        "finish_reason": outcome.finish_reason,
        "duration_s": outcome.response_time,
        "first_token_s": outcome.first_token_s,
        "attempts": outcome.attempts,
        "simulated": outcome.simulated,
        "replayed": outcome.replayed,
        "saved_usd": outcome.saved_cost,
        "fallback_from": outcome.fallback_from,
        "error": None if error is None else type(error).__name__,
    }
